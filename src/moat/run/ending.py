"""Ending a run from outside: asked first, and then not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from moat.config.paths import Home
from moat.errors import MoatError
from moat.run.command_socket import NAME, tell
from moat.run.lost import clear_up
from moat.run.record import RunDirectory, RunRecord

# Seconds a supervisor may take for what it has to do once its box is gone.
_CLEARING = 10.0
_LOOK = 0.02
# Seconds in which a supervisor that is only starting comes to listen.
_STARTING = 3.0


def end_run(runs: Path, run: str, *, grace: float) -> RunRecord:
    """End a live run; its record afterwards.

    The command is asked to end and given `grace` seconds for it; with 0 it is not asked. A
    supervisor that does not do as it is told is killed, and its box goes with it. Raises MoatError
    if even that does not end it.
    """
    directory = RunDirectory(runs, run)
    _wait_listening(directory)
    try:
        tell(directory.root, {"do": "stop", "grace": grace}, patience=min(_CLEARING, grace + 3))
    except MoatError:  # it does not listen
        _send(directory, signal.SIGTERM if grace > 0 else signal.SIGKILL)
    if not _ends(directory, grace + _CLEARING):
        _send(directory, signal.SIGKILL)
        if not _ends(directory, _CLEARING):
            raise MoatError(
                f"run {run} does not end: its supervisor cannot be killed",
                hint=f"see what it waits for: cat /proc/{_pid(directory)}/stack",
            )
    lost = directory.close_lost()
    if lost is not None and lost.state == "lost":
        clear_up(Home(runs.parent))
    record = directory.read()
    if record is None:
        raise MoatError(f"run {run} ended before it had a record", hint="run: moat list")
    return record


def _wait_listening(directory: RunDirectory) -> None:
    """Wait for a run that is only starting: killed, its supervisor could write down no end."""
    end = time.monotonic() + _STARTING
    while not (directory.root / NAME).exists() and directory.is_supervised():
        if time.monotonic() > end:
            return
        time.sleep(_LOOK)


def _ends(directory: RunDirectory, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while directory.is_supervised():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK)
    return True


def _pid(directory: RunDirectory) -> int | None:
    supervisor = directory.supervisor()
    return supervisor.pid if supervisor else None


def _send(directory: RunDirectory, number: int) -> None:
    """Send a signal to the supervisor, and to no other process that has its number by now."""
    with contextlib.suppress(OSError):
        if (pid := _pid(directory)) is None:
            return
        held = os.pidfd_open(pid)
        try:
            if _pid(directory) == pid:
                signal.pidfd_send_signal(held, number)
        finally:
            os.close(held)
