"""The process of a supervisor, forked before anything is loaded that only a command line needs.

Both load what they need at the same time, and the plan goes over the channel when it is made. A
command line that ends without one takes this process with it.
"""

from __future__ import annotations

import os
import socket
import sys


class Early:
    """Our side of it: a channel to the supervisor that is to be."""

    __slots__ = ("channel",)

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel


def fork_supervisor() -> Early:
    """Fork it off; called while this process has one thread."""
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        try:
            ours.close()
            from moat.run.supervising import supervise

            supervise(theirs)
        finally:  # whatever happens, there are never two command lines
            os._exit(1)
    theirs.close()
    return Early(ours)
