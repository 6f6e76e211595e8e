"""What came of a run, from what was written down."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from moat.run.accounting import as_data
from moat.run.receipt import receipt_of
from moat.run.record import RunDirectory, RunRecord
from moat.workspace.changes import Changes

RECORD = RunRecord("dc1eh6tndp", "stopped", 1000.0, "/w", ("true",), ended=1010.0, exit_code=0)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path, RECORD.run)
    directory.root.mkdir()
    return directory


@pytest.mark.parametrize(
    ("record", "how"),
    [
        (RECORD, "exit code 0"),
        (RECORD._replace(state="running"), "running"),
        (RECORD._replace(state="lost"), "lost: its supervisor died, and the box with it"),
        (RECORD._replace(state="failed", error="no disk"), "failed: no disk"),
        (
            RECORD._replace(limit="wall", error="it took 5 s", exit_code=124),
            "ended by its limit on timeout: it took 5 s",
        ),
        (RECORD._replace(stopped_by="SIGTERM", exit_code=143), "ended by SIGTERM: exit code 143"),
        (RECORD._replace(stopped_by="SIGKILL", exit_code=137), "killed: exit code 137"),
    ],
)
def test_how_it_ended_is_told(directory: RunDirectory, record: RunRecord, how: str) -> None:
    """In words; there is nothing else yet, and that is no error."""
    receipt = receipt_of(directory, record)
    assert (how, (), None, None) == (
        receipt.how,
        receipt.summary.destinations,
        receipt.changes,
        receipt.unread,
    )


def test_a_clock_that_jumps_changes_no_duration(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is by a clock of its own; where there is none, it is never less than nothing."""
    assert 3.5 == receipt_of(directory, RECORD._replace(duration=3.5, ended=1.0)).duration
    assert 10.0 == receipt_of(directory, RECORD).duration
    assert 0.0 == receipt_of(directory, RECORD._replace(ended=900.0)).duration
    assert receipt_of(directory, RECORD._replace(state="lost", ended=None)).duration is None
    monkeypatch.setattr(time, "time", lambda: 500.0)
    assert 0.0 == receipt_of(directory, RECORD._replace(state="running", ended=None)).duration


@pytest.mark.parametrize("written", [None, b"", b"[]", b"{", b"\xff"])
def test_changes_that_are_none_are_none(directory: RunDirectory, written: bytes | None) -> None:
    """As of a run whose supervisor died over them."""
    if written is not None:
        directory.changes.write_bytes(written)
    assert receipt_of(directory, RECORD).changes is None


def test_changes_are_as_they_were_written(directory: RunDirectory) -> None:
    """And a trace that cannot be read is told, without losing them."""
    changes = as_data(Changes(added=("a",)), ["a note"])
    directory.changes.write_text(json.dumps(changes))
    directory.trace.write_bytes(b"no database at all" * 100)
    receipt = receipt_of(directory, RECORD)
    assert receipt.changes is not None
    assert (["a"], ["a note"]) == (receipt.changes["added"], receipt.changes["notes"])
    assert receipt.unread is not None
