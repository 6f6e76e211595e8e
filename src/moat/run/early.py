"""The process of a supervisor, forked before anything is loaded that only a command line needs.

Both load what they need at the same time, and the plan goes over the channel when it is made. A
command line that ends without one takes this process with it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys


class Early:
    """Our side of it: a channel to the supervisor that is to be, and its process id."""

    __slots__ = ("channel", "pid")

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self.channel = channel
        self.pid = pid


def fork_supervisor() -> Early:
    """Fork it off; called while this process has one thread."""
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    # A key that is pressed now is for the command line, and it tells the run.
    keys = {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, keys)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ours.close()
            from moat.run.supervising import supervise

            supervise(theirs)
        finally:  # whatever happens, there are never two command lines
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return Early(ours, pid)
