"""The record of a run is whole or absent, and whether it lives is asked of the kernel."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from moat.errors import UnsafeFile, UsageError
from moat.run.finding import find_run, get_live_run, list_runs
from moat.run.record import LIVE, RunDirectory, RunRecord, State

RUN = "dc1eh6tndp"
RECORD = RunRecord(
    run=RUN,
    state="running",
    created=1000.5,
    workspace="/src/project",
    command=("sh", "-c", "échö \udcff"),
    agent="codex",
    grants=("openai",),
    versions={"codex-cli": "0.169.0"},
)
HOLDING = """
import sys, time
from pathlib import Path
from moat.run.record import RunDirectory
descriptor = RunDirectory(Path(sys.argv[1]), sys.argv[2]).create()
print("held", flush=True)
time.sleep(30)
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def make(runs: Path, run: str = RUN, **changes: object) -> int:
    """A run with a record; the lock that says that it lives."""
    directory = RunDirectory(runs, run)
    lock = directory.create()
    directory.write(RECORD._replace(run=run, **changes))  # type: ignore[arg-type]
    return lock


def contents(runs: Path) -> dict[str, tuple[bytes, float]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime)
        for path in runs.rglob("*")
        if path.is_file()
    }


def test_a_proxy_has_no_workspace_and_a_record_of_before_is_of_a_run(runs: Path) -> None:
    """The kind came later than the first records."""
    lock = make(runs, kind="proxy", workspace=None)
    directory = RunDirectory(runs, RUN)
    record = directory.read()
    assert record is not None
    assert ("proxy", None) == (record.kind, record.workspace)
    document = json.loads(directory.record_file.read_bytes())
    del document["kind"]
    directory.record_file.write_text(json.dumps(document | {"workspace": "/w"}))
    record = directory.read()
    assert record is not None
    assert ("run", "/w") == (record.kind, record.workspace)
    os.close(lock)


def test_what_was_written_is_read(runs: Path) -> None:
    """Every member comes back equal, a name that is no text included."""
    lock = make(runs)
    assert RECORD == RunDirectory(runs, RUN).read()
    ended = RECORD._replace(state="failed", ended=1001.0, exit_code=3, error="it went wrong")
    RunDirectory(runs, RUN).write(ended)
    assert ended == RunDirectory(runs, RUN).read()
    os.close(lock)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_record_is_ours_alone(runs: Path, umask: int) -> None:
    """Directories 0700 and files 0600: what an agent printed may be private."""
    before = os.umask(umask)
    try:
        os.close(make(runs))
    finally:
        os.umask(before)
    for path in (runs, *runs.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert (path, wanted) == (path, stat.S_IMODE(path.stat().st_mode))


def test_open_runs_are_refused(runs: Path) -> None:
    """A `runs` others can enter holds no new run, and the chmod is named."""
    runs.mkdir(mode=0o755)
    runs.chmod(0o755)
    with pytest.raises(UnsafeFile) as caught:
        make(runs)
    assert f"run: chmod 700 {runs}" == caught.value.hint
    assert [] == list(runs.iterdir())
    runs.chmod(0o700)
    os.close(make(runs))


@pytest.mark.parametrize("state", get_args(State))
def test_a_run_nobody_holds_is_lost(runs: Path, state: State) -> None:
    """As long as its lock is held a run stands as written; what lived then is lost, no more."""
    lock = make(runs, state=state)
    assert RECORD._replace(state=state) == RunDirectory(runs, RUN).read()
    os.close(lock)
    wanted = "lost" if state in LIVE else state
    assert RECORD._replace(state=wanted) == RunDirectory(runs, RUN).read()


def test_a_killed_supervisor_leaves_a_lost_run(runs: Path) -> None:
    """The kernel lets go of the lock of whoever dies, however it died."""
    command = [sys.executable, "-c", HOLDING, str(runs), RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "held\n" == process.stdout.readline()
        directory = RunDirectory(runs, RUN)
        directory.write(RECORD)
        assert RECORD == directory.read()
        process.send_signal(signal.SIGKILL)
    assert RECORD._replace(state="lost") == directory.read()


def test_reading_writes_nothing(runs: Path) -> None:
    """Not even for a lost run: a reader may be wrong, and the record stays what was written."""
    os.close(make(runs))
    before = contents(runs)
    for _ in range(2):
        assert "lost" == list_runs(runs)[0].state
        assert "lost" == find_run(runs, None).state
    assert before == contents(runs)


def test_many_readers_do_not_take_each_other_for_the_supervisor(runs: Path) -> None:
    """Looking is shared: a run somebody else looks at right now is still lost."""
    os.close(make(runs))
    with (runs / RUN / "lock").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        read = RunDirectory(runs, RUN).read()
        assert read is not None
        assert "lost" == read.state


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"state": "running"}',
        json.dumps({**RECORD._asdict(), "state": "gone"}).encode(),
        json.dumps({**RECORD._asdict(), "created": None}).encode(),
        json.dumps({**RECORD._asdict(), "versions": 1}).encode(),
    ],
)
def test_what_cannot_be_read_is_passed_over(runs: Path, content: bytes) -> None:
    """One bad record hides no other run."""
    os.close(make(runs, state="stopped"))
    other = RunDirectory(runs, "d" * 10)
    os.close(other.create())
    other.record_file.write_bytes(content)
    assert other.read() is None
    assert [RUN] == [record.run for record in list_runs(runs)]


def test_what_is_no_run_is_passed_over(runs: Path) -> None:
    """Other names, and runs that came to no record, are not listed."""
    os.close(make(runs))
    (runs / "notes").mkdir()
    (runs / "..x").touch()
    (runs / ("e" * 10)).mkdir()
    assert [RUN] == [record.run for record in list_runs(runs)]


def test_a_crash_while_writing_leaves_the_old(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the rename never happens the old record stands, and nothing lies about."""
    lock = make(runs)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", dies)
    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        RunDirectory(runs, RUN).write(RECORD._replace(state="stopped"))
    monkeypatch.undo()
    assert RECORD == RunDirectory(runs, RUN).read()
    assert {"lock", "run.json"} == {path.name for path in (runs / RUN).iterdir()}
    os.close(lock)


# finding


def test_no_runs_is_no_list(runs: Path) -> None:
    """Before the first run there is nothing, and looking makes nothing."""
    assert [] == list_runs(runs)
    with pytest.raises(UsageError, match="there are no runs yet") as caught:
        find_run(runs, None)
    assert "start one: moat run -- true" == caught.value.hint
    assert not runs.exists()


def test_a_run_is_found_by_as_much_as_is_needed(runs: Path) -> None:
    """By its id, by a beginning that no other shares; without one, the latest."""
    for number, run in enumerate(("dc1eh6tndp", "dc1eg2mct3", "dc2aaaaaaa")):
        os.close(make(runs, run, created=1000.0 - number))
    assert "dc1eh6tndp" == find_run(runs, None).run
    for given in ("dc1eh6tndp", "dc1eh", "dc2"):
        assert find_run(runs, given).run.startswith(given)
    listed = r"begins the ids of 2 runs: dc1eh6tndp \(codex, \w+\), dc1eg2mct3 \(codex, \w+\)"
    with pytest.raises(UsageError, match=listed):
        find_run(runs, "dc1")


@pytest.mark.parametrize("given", ["", "x", "DC1", "dc1eh6tndp0", "../dc1", "*", "dc1eh6tndq"])
def test_what_is_not_there_is_told(runs: Path, given: str) -> None:
    """An id that is none, or of no run, is repeated, with the command that lists them."""
    os.close(make(runs))
    with pytest.raises(UsageError) as caught:
        find_run(runs, given)
    assert (f"there is no run {given!r}", "run: moat list") == (
        caught.value.message,
        caught.value.hint,
    )


def test_a_live_run_is_found_where_there_is_one(runs: Path) -> None:
    """Without a word the only one; of several, whichever was named, and else none."""
    with pytest.raises(UsageError, match="no run is live"):
        get_live_run(runs, None)
    os.close(make(runs, "dc1eg2mct3", name="fix"))  # it is over
    with pytest.raises(UsageError, match="no run is live"):
        get_live_run(runs, None)
    first = make(runs, "dc1eh6tndp", name="fix", created=900.0)
    assert "dc1eh6tndp" == get_live_run(runs, None).run
    second = make(runs, "dc2aaaaaaa")
    with pytest.raises(
        UsageError, match=r"2 runs are live: dc1eh6tndp \(fix\), dc2a|dc2a"
    ) as caught:
        get_live_run(runs, None)
    assert "say which: dc" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        get_live_run(runs, None, option="--run ")
    assert "say which: --run dc" in str(caught.value.hint)
    for given in ("dc1eh6tndp", "dc1eh", "fix"):
        assert "dc1eh6tndp" == get_live_run(runs, given).run
    for lock in (first, second):
        os.close(lock)


@pytest.mark.parametrize("given", ["dc1eh6tndp", "dc1", "fix"])
def test_a_run_that_has_ended_is_not_live(runs: Path, given: str) -> None:
    """That is said of it, and how it has ended."""
    os.close(make(runs, name="fix", state="stopped"))
    with pytest.raises(UsageError, match=r"dc1eh6tndp has ended \(stopped\)"):
        get_live_run(runs, given)
    with pytest.raises(UsageError, match="there is no run 'other'"):
        get_live_run(runs, "other")
