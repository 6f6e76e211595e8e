"""Ending a run from outside, however well its supervisor listens."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.run import ending
from moat.run.ending import end_run
from moat.run.record import RunDirectory

RUN = "dc1eh6tndp"
# Holds a run as a supervisor does, and does what it is asked to, or not.
SUPERVISOR = f"""
import os, signal, sys, time
from pathlib import Path
from moat.run.record import RunDirectory, RunRecord
directory = RunDirectory(Path(sys.argv[1]), "{RUN}")
lock = directory.create()
record = RunRecord("{RUN}", "running", time.time(), "/w", ("true",))
if sys.argv[2] != "no record":
    directory.write(record)
def end(number, _):
    directory.write(record.become("stopped", ended=time.time(), exit_code=128 + number))
    directory.close(lock)
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "deaf" else end)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["listens", "deaf", "no record", "hangs"])
def supervised(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A supervisor, and its ways."""
    words = [sys.executable, "-c", SUPERVISOR, str(tmp_path), request.param]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        if request.param == "hangs":
            process.send_signal(signal.SIGSTOP)
        yield request.param, process
        process.kill()


def test_it_ends_whatever_it_does(
    supervised: tuple[str, subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself where it listens; else it is killed, and lost."""
    kind, process = supervised
    monkeypatch.setattr(ending, "_CLEARING", 0.5)
    if kind == "no record":
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with pytest.raises(MoatError, match="ended before it had a record"):
            end_run(tmp_path, RUN, grace=0.1)
        return
    record = end_run(tmp_path, RUN, grace=0.1)
    assert ("stopped" if kind == "listens" else "lost") == record.state
    assert (0 if kind == "listens" else -signal.SIGKILL) == process.wait(10)
    assert not RunDirectory(tmp_path, RUN).is_supervised()


def test_killing_asks_nobody(supervised: tuple[str, subprocess.Popen[str]], tmp_path: Path) -> None:
    """Not even who would have listened."""
    kind, process = supervised
    if kind == "no record":
        with pytest.raises(MoatError, match="ended before it had a record"):
            end_run(tmp_path, RUN, grace=0)
    else:
        assert "lost" == end_run(tmp_path, RUN, grace=0).state
    assert -signal.SIGKILL == process.wait(10)
