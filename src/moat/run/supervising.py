"""The process of a supervisor: what it leaves behind of the command line it was forked off."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import socket
from pathlib import Path
from typing import NoReturn

import uvloop

from moat.errors import MoatError
from moat.run.sending import receive
from moat.run.steps import choose_runtime
from moat.run.supervisor import Supervisor

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def supervise(channel: socket.socket) -> NoReturn:
    """Be the supervisor of the run whose plan comes over the channel, until it has ended.

    Without a plan there is no run.
    """
    try:
        umask = os.umask(0o077)
        _leave_the_command_line(channel)
        _load()
        if (received := receive(channel)) is not None:
            plan, home = received
            # It is not closed: that would wait for threads whose work nobody wants any more.
            runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
            runner.run(Supervisor(plan, home, umask=umask).run(channel))
    finally:
        _end_what_is_left()
        os._exit(0)


def _load() -> None:
    """Load what every run needs, while its plan is being made."""
    with contextlib.suppress(MoatError):  # it is told when the box is to be made
        choose_runtime().make_ready()


def _leave_the_command_line(channel: socket.socket) -> None:
    """No descriptor but the channel, no core dumps; its session is its own already."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    # What is open stands here; a limit on their number says nothing of those opened before it.
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # numbers, not paths
        if descriptor > 2 and descriptor != channel.fileno():
            with contextlib.suppress(OSError):
                os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # It may live longer than the directory it was started in.
    os.chdir("/")


def _end_what_is_left() -> None:
    """End what was left to us: killed while it makes a box, bubblewrap leaves its first process.

    That one does not run anything yet: it waits for bubblewrap, and would for ever.
    """
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
