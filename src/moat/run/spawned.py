"""The process of a supervisor for a program that cannot be forked: it may have threads.

It is a fresh Python with Moat in it, and nobody's child, so that nobody has to wait for it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path

from moat.errors import MoatError

_CHANNEL = 3
_FIRST_FREE = 16
_SCRIPT = "import sys; sys.path.insert(0, sys.argv[1]); from moat.run.spawned import main; main()"


def spawn_supervisor() -> socket.socket:
    """Start it; the channel, over which it is to be sent its plan. Blocks. Raises MoatError."""
    ours, theirs = socket.socketpair()
    with theirs:
        high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-c", _SCRIPT, str(Path(__file__).parents[2])],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, high, _CHANNEL)],
            )
        finally:
            os.close(high)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        ours.close()
        raise MoatError("the supervisor cannot be started", hint=f"try it: {sys.executable} -V")
    return ours


def main() -> None:
    """Be that process."""
    if os.fork() > 0:
        os._exit(0)
    try:
        from moat.run.supervising import supervise

        supervise(socket.socket(fileno=_CHANNEL))
    finally:
        os._exit(1)
