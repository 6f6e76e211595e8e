"""What dead supervisors leave is finished and cleared up; what lives, or is made, is left alone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from moat.config.paths import Home
from moat.ledger.events import read_events
from moat.run import lost
from moat.run.lost import close_lost, sweep
from moat.run.record import RunDirectory, RunRecord, State

RUN, OTHER = "dc1eh6tndp", "dc2aaaaaaa"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Moat's directory; what lies outside of it is left alone."""
    monkeypatch.setattr(lost, "clear_up", lambda _: None)
    return Home(tmp_path)


def make(home: Home, run: str = RUN, state: State = "running") -> int:
    """A run; its lock."""
    directory = RunDirectory(home.runs, run)
    lock = directory.create()
    directory.write(RunRecord(run, state, 1000.0, "/w", ("true",)))
    return lock


def test_a_dead_one_is_finished(home: Home) -> None:
    """Its record says so, and when it was last seen; what was made for its box is gone."""
    os.close(make(home))
    live = make(home, OTHER)
    root = home.runs / RUN
    (root / "stage").mkdir()
    (root / "stage" / "file").touch()
    (root / "control").touch()
    last = max(entry.stat().st_mtime for entry in os.scandir(root))
    (record,) = close_lost(home)
    assert (RUN, "lost") == (record.run, record.state)
    assert record.ended == pytest.approx(last, abs=1)
    assert {"lock", "run.json", "events.jsonl"} == {path.name for path in root.iterdir()}
    assert ["lost"] == [event["event"] for event in read_events(root / "events.jsonl")]
    assert [] == close_lost(home)
    found = RunDirectory(home.runs, OTHER).read()
    assert found is not None
    assert "running" == found.state
    os.close(live)


def test_one_without_a_record_is_nothing(home: Home) -> None:
    """It died before it was a run; its directory goes, and the sign that it lived."""
    os.close(RunDirectory(home.runs, RUN).create())
    assert [] == close_lost(home)
    assert [] == [*home.runs.iterdir()]


def test_one_that_is_being_made_is_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory gets its name between two looks of ours: it is not taken for a dead one."""
    directory = RunDirectory(home.runs, RUN)
    held: list[int] = []
    supervised = RunDirectory.is_supervised

    def late(self: RunDirectory) -> bool:
        found = supervised(self)
        if not held:  # it is made just after we have looked
            held.append(directory.create())
        return found

    home.runs.mkdir(mode=0o700)
    (home.runs / f".live-{RUN}").touch()
    monkeypatch.setattr(RunDirectory, "is_supervised", late)
    assert [] == close_lost(home)
    if not held:
        held.append(directory.create())
    assert directory.root.is_dir()
    os.close(held[0])


def test_a_sign_of_nothing_goes(home: Home) -> None:
    """Unless what it is of is being made."""
    home.runs.mkdir()
    sign = home.runs / f".live-{RUN}"
    sign.touch()
    unmade = home.runs / f".new-{RUN}"
    unmade.mkdir()
    with (unmade / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        close_lost(home)
        assert sign.exists()
    close_lost(home)
    assert not sign.exists()


def test_what_was_half_made_or_removed_is_swept(home: Home) -> None:
    """What is being made just now stays, and so does what has a name."""
    os.close(make(home))
    for name in (".new-dc1aaaaaaa", ".new-dc1bbbbbbb", ".old-dc1ccccccc"):
        (home.runs / name).mkdir()
        (home.runs / name / "lock").touch()
    with (home.runs / ".new-dc1bbbbbbb" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(home.runs)
    assert {RUN, f".live-{RUN}", ".new-dc1bbbbbbb"} == {p.name for p in home.runs.iterdir()}
    sweep(home.root / "none")


def test_one_that_is_swept_while_it_is_made_is_made_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the one moment at which it cannot be told from one that was left."""
    lock, swept = fcntl.flock, []

    def sweep_then_lock(descriptor: int, operation: int) -> None:
        if not swept:
            swept.append(descriptor)
            sweep(home.runs)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_then_lock)
    held = make(home)
    assert swept
    assert {RUN, f".live-{RUN}"} == {p.name for p in home.runs.iterdir()}
    assert RunDirectory(home.runs, RUN).is_supervised()
    os.close(held)


def test_one_that_is_removed_at_this_moment_is_nobodys_error(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts a run meanwhile has nothing to do with it."""
    os.close(make(home))
    read = RunDirectory._read

    def read_and_lose(self: RunDirectory) -> RunRecord | None:
        record = read(self)
        self.remove()
        return record

    monkeypatch.setattr(RunDirectory, "_read", read_and_lose)
    assert [] == close_lost(home)
    assert [] == list(home.runs.iterdir())
