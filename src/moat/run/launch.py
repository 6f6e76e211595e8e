"""From a plan to a run: fork the supervisor, attach to it, and bring its exit code home."""

from __future__ import annotations

import os
import signal
import socket
import sys
from functools import partial

from moat.config.paths import Home
from moat.run.part import Ended, Part
from moat.run.plan import Plan


def launch(plan: Plan, home: Home, part: Part) -> Ended:
    """Run a plan, and take part in it until it has ended, or we leave it."""
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    # From here to the client's own handlers, a Ctrl-C waits: it is delivered to the run.
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    supervisor = os.fork()
    if supervisor == 0:
        try:
            from moat.run.supervising import supervise

            supervise(plan, home, theirs, unblock=signals)
        finally:  # whatever happens, there are never two command lines
            os._exit(1)
    theirs.close()
    try:
        # Loaded while the supervisor does its work.
        from moat.run.attach import attach

        return attach(ours, part, unblock=signals, store=partial(allow_always, home))
    finally:
        ours.close()
        # All that is left is to say how it ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def allow_always(home: Home, host: str) -> None:
    """Store that every run may reach a host. Raises MoatError or OSError."""
    from moat.config import settings_edit

    settings_edit.allow_always(home, host)
