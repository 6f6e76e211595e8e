"""From a plan to a run: give it to its supervisor, attach, and bring the exit code home."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial

from moat.config.paths import Home
from moat.run.early import Early
from moat.run.part import Ended, Part
from moat.run.plan import Plan
from moat.run.sending import send


def launch(early: Early, plan: Plan, home: Home, part: Part) -> Ended:
    """Run a plan, and take part in it until it has ended, or we leave it."""
    # From here to the client's own handlers, a Ctrl-C waits: it is delivered to the run.
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with contextlib.suppress(ConnectionError):  # it has died, which is heard below
        send(early.channel, plan, home)
    try:
        # Loaded while the supervisor does its work.
        from moat.run.attach import attach

        ended = attach(early.channel, part, unblock=signals, store=partial(allow_always, home))
        early.channel.close()
        if ended.left is None:
            os.waitpid(early.pid, 0)  # what it holds, such as connections, is gone with it
        return ended
    finally:
        early.channel.close()
        # All that is left is to say how it ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def allow_always(home: Home, host: str) -> None:
    """Store that every run may reach a host. Raises MoatError or OSError."""
    from moat.config import settings_edit

    settings_edit.allow_always(home, host)
