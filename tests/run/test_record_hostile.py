"""Whatever stands in a run's directory: it leads nowhere else, and hides no other run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from moat.errors import RecordError
from moat.ledger.events import read_events
from moat.ledger.trace import read_trace
from moat.ledger.transcript import CAST, LOG, TIMES
from moat.ledger.transcript_read import open_transcript
from moat.run.finding import list_runs
from moat.run.record import RunDirectory, RunRecord
from support.cli import Cli

RUN, OTHER = "dc1eh6tndp", "dc1eh6tndq"
RECORD = RunRecord(RUN, "stopped", 1000.0, "/w", ("true",), ended=1001.0, exit_code=0)
CHANGES: dict[str, Any] = {
    "added": ["a"],
    "changed": [],
    "removed": [],
    "executed": [{"path": "a", "why": "b"}],
    "complete": True,
}


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run that has ended, and another that nothing is wrong with."""
    runs = tmp_path / "home" / "runs"
    runs.parent.mkdir(mode=0o700)
    for run in (OTHER, RUN):
        found = RunDirectory(runs, run)
        lock = found.create()
        found.write(RunRecord(**{**RECORD._asdict(), "run": run}))
        found.close(lock)
    return found


@pytest.fixture
def moat(directory: RunDirectory, tmp_path: Path) -> Cli:
    """The command line that has those runs."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return Cli(directory.root.parent.parent, workspace)


def spoil(directory: RunDirectory, **members: object) -> None:
    document = {**RECORD._asdict(), **members}
    directory.record_file.write_text(json.dumps(document))


@pytest.mark.attack
@pytest.mark.parametrize(
    "given", ["../../victim", "/etc", "", ".", "..", "x", RUN + "/.", "DC1EH6TNDP"]
)
def test_no_run_is_anything_but_an_id(tmp_path: Path, given: str) -> None:
    """A name that leads elsewhere has no directory of a run."""
    with pytest.raises(ValueError, match="is no run id"):
        RunDirectory(tmp_path, given)


@pytest.mark.attack
@pytest.mark.parametrize("named", ["../../victim", OTHER, "/", None, 7])
def test_a_record_is_of_the_run_it_lies_with(directory: RunDirectory, named: object) -> None:
    """Else what is done to the one would be done to the other, or outside."""
    spoil(directory, run=named)
    assert directory.read() is None
    assert [OTHER] == [record.run for record in list_runs(directory.root.parent)]


@pytest.mark.attack
def test_clean_removes_nothing_outside(moat: Cli, directory: RunDirectory, tmp_path: Path) -> None:
    """Wherever a record says that its run is."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    spoil(directory, run="../../victim")
    done = moat.run("clean", "--older-than", "0")
    assert (0, f"{OTHER}\n") == (done.returncode, done.stdout)
    assert (victim / "precious").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"created": 1e300},
        {"created": -1},
        {"created": float("nan")},
        {"created": True},
        {"created": 10**400},
        {"ended": "yesterday"},
        {"duration": [1]},
        {"duration": float("inf")},
        {"exit_code": "0"},
        {"exit_code": 10**30},
        {"command": "true"},
        {"command": [1]},
        {"state": []},
        {"name": {}},
        {"grants": "openai"},
        {"versions": {"codex": 1}},
        {"error": 5},
        {"limit": ["memory"]},
    ],
    ids=str,
)
def test_a_record_of_other_types_hides_no_other(
    directory: RunDirectory, wrong: dict[str, object]
) -> None:
    """It is passed over, in every member."""
    spoil(directory, **wrong)
    assert directory.read() is None
    assert [OTHER] == [record.run for record in list_runs(directory.root.parent)]


def test_a_record_without_end_is_passed_over(directory: RunDirectory) -> None:
    """Nested too deeply, or more than anybody wrote."""
    directory.record_file.write_bytes(b"[" * 200_000)
    assert directory.read() is None
    with directory.record_file.open("wb") as file:
        file.truncate(1 << 40)
    assert directory.read() is None


@pytest.mark.parametrize(
    "file", ["run.json", "lock", "events.jsonl", "changes.json", LOG, CAST, TIMES]
)
def test_a_fifo_keeps_nobody_waiting(moat: Cli, directory: RunDirectory, file: str) -> None:
    """Whichever file it has taken the place of: the other run is still there."""
    if file == TIMES:
        (directory.root / LOG).write_text("text\n")
    (directory.root / file).unlink(missing_ok=True)
    os.mkfifo(directory.root / file)
    for words in (("list",), ("events",), ("clean", "--dry-run"), ("receipt", OTHER)):
        assert 0 == moat.run(*words, timeout=20).returncode
    assert OTHER in {record["run"] for record in moat.json("list", "--all")}
    if file != "run.json":
        for words in (("receipt",), ("logs",), ("logs", "--since", "1h"), ("status",)):
            done = moat.run(*words, RUN, timeout=20)
            assert "Traceback" not in done.stderr
            assert (words[0] == "logs" and file in (LOG, CAST)) == (done.returncode != 0)


def test_a_trace_that_is_a_fifo_is_told(directory: RunDirectory) -> None:
    """SQLite would wait for its writer."""
    os.mkfifo(directory.trace)
    with pytest.raises(RecordError, match="no regular file"):
        read_trace(directory.trace)


@pytest.mark.parametrize(
    "wrong",
    [
        {"executed": 5, "added": 7},
        {**CHANGES, "executed": [{"path": "a"}]},
        {**CHANGES, "executed": ["a"]},
        {**CHANGES, "added": "a"},
        {**CHANGES, "notes": 1},
        {},
        [],
    ],
    ids=str,
)
def test_changes_of_other_types_are_not_known(
    moat: Cli, directory: RunDirectory, wrong: object
) -> None:
    """The receipt is shown all the same."""
    directory.changes.write_text(json.dumps(wrong))
    assert directory.read_changes() is None
    done = moat.run("receipt", RUN)
    assert (0, "") == (done.returncode, done.stderr)


def test_changes_as_they_are_written_are_read(directory: RunDirectory) -> None:
    """The twin."""
    directory.changes.write_text(json.dumps(CHANGES))
    assert CHANGES == directory.read_changes()


def test_events_that_are_none_are_passed_over(moat: Cli, directory: RunDirectory) -> None:
    """And hide no others, of this run or another."""
    good = {"time": 1.0, "run": RUN, "event": "started", "more": [1]}
    bad: list[object] = [
        {**good, "time": "x"},
        {**good, "time": 1e300},
        {**good, "time": None},
        {**good, "run": 5},
        {**good, "event": {}},
        {"time": 1.0},
        [],
        7,
    ]
    lines = [json.dumps(item) for item in (*bad, good)] + ["[" * 200_000, "{"]
    directory.events.write_text("\n".join(lines) + "\n")
    assert [good] == read_events(directory.events)
    done = moat.run("events")
    assert (0, "", 1) == (done.returncode, done.stderr, len(done.stdout.splitlines()))


@pytest.mark.parametrize(
    "line", [b"soon 0", b"1 far", b"", b"1 -5", b"nan 0", b"1 99999999999999999999999"]
)
def test_a_time_that_is_none_hides_no_text(directory: RunDirectory, line: bytes) -> None:
    """Where a transcript's times make no sense, the others are what there is."""
    (directory.root / LOG).write_bytes(b"old\nnew\n")
    (directory.root / TIMES).write_bytes(line + b"\n5000 4\n")
    reading = open_transcript(directory.root)
    assert reading is not None
    reading.start(since=4000)
    assert b"new\n" == reading.read()
    reading.close()


@pytest.mark.parametrize(
    "line", [b'["x","o","a"]', b'[1e400,"o","a"]', b'[-1,"o","a"]', b"[" * 200_000]
)
def test_an_event_of_a_cast_that_is_none_is_passed_over(
    directory: RunDirectory, line: bytes
) -> None:
    """A player would wait for it."""
    header = b'{"version":2,"width":80,"height":24,"timestamp":1e300}\n'
    (directory.root / CAST).write_bytes(header + line + b'\n[1,"o","kept"]\n')
    reading = open_transcript(directory.root)
    assert reading is not None
    reading.start(since=4000)
    assert b"kept" == reading.read()
    reading.close()
