"""The process of a supervisor for a program that cannot be forked: it may have threads.

It is a fresh Python with Moat in it, and nobody's child, so that nobody has to wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

from moat.errors import MoatError

_CHANNEL = 3
_FIRST_FREE = 16
_SCRIPT = "import sys; sys.path.insert(0, sys.argv[1]); from moat.run.spawned import main; main()"
_NEVER_CAUGHT = {signal.SIGKILL, signal.SIGSTOP}


def spawn_supervisor() -> socket.socket:
    """Start it; the channel, over which it is to be sent its plan. Blocks. Raises MoatError."""
    if not sys.executable:
        raise MoatError("the supervisor cannot be started: this program has no Python to start")
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as unless_started, theirs:
        unless_started.callback(ours.close)
        high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        try:
            if _code_of(_spawn(high)) != 0:
                raise MoatError(
                    "the supervisor cannot be started",
                    hint=f"see what it says: {sys.executable} -P -c 'import moat'",
                )
        except OSError as error:
            raise MoatError(
                f"the supervisor cannot be started: {sys.executable}: {error.strerror}"
            ) from None
        finally:
            os.close(high)
        unless_started.pop_all()
    return ours


def _spawn(channel: int) -> int:
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-c", _SCRIPT, str(Path(__file__).parents[2])],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, channel, _CHANNEL)],
        # What the program ignores or keeps waiting, the supervisor must hear of.
        setsigmask=(),
        setsigdef=signal.valid_signals() - _NEVER_CAUGHT,
    )


def _code_of(pid: int) -> int:
    """How the first process ended, whose child the supervisor is no longer."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # the program has the kernel forget its children; it has ended
        return 0


def main() -> None:
    """Be that process."""
    if os.fork() > 0:
        os._exit(0)
    try:
        from moat.run.supervising import supervise

        supervise(socket.socket(fileno=_CHANNEL))
    finally:
        os._exit(1)
