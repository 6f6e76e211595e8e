"""A further command in a box that is there: started by `enter.py`, watched from here."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import termios
from pathlib import Path

from moat.errors import RuntimeUnavailable
from moat.runtimes.descriptors import read_to_end, wait_for_exit
from moat.runtimes.interface import WORKSPACE, Execution
from moat.runtimes.sandbox.filter import filter_program
from moat.runtimes.sandbox.spawn import memory_file
from moat.runtimes.stdio import Stdio, pipe

ENTER = Path(__file__).with_name("enter.py")
_TOLD, _FILTER, _SAYS = 3, 4, 5
_FIRST_FREE = 64
_START_TIMEOUT = 30.0


class SandboxExecuted:
    """See `moat.runtimes.protocols.Executed`."""

    def __init__(self, execution: Execution, init: int, *, umask: int) -> None:
        """Start what will enter the box of a first process; it waits to be told what to do."""
        self._execution = execution
        self._ours = contextlib.ExitStack()
        self._main: int | None = None  # pidfd of the command
        self._group = 0  # the command's process id
        self._told = {
            "pid": init,
            "command": execution.command,
            "environment": dict(execution.environment),
            "directory": WORKSPACE,
            "umask": umask,
            "terminal": execution.terminal is not None,
        }
        with contextlib.ExitStack() as theirs:
            stdio = Stdio(execution.terminal, ours=self._ours, theirs=theirs)
            self.stdin, self.stdout, self.stderr = stdio.stdin, stdio.stdout, stdio.stderr
            self._tells, told = socket.socketpair()
            theirs.callback(told.close)
            self._says, says = pipe(self._ours, theirs)
            program = memory_file("filter", filter_program(os.uname().machine))
            theirs.callback(os.close, program)
            given = [(told.fileno(), _TOLD), (program, _FILTER), (says, _SAYS)]
            actions = stdio.actions
            for source, target in given:
                # Out of the way first: a source may have the number of another's target.
                high = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
                theirs.callback(os.close, high)
                actions.append((os.POSIX_SPAWN_DUP2, high, target))
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-B", str(ENTER)],
                {"PATH": "/usr/bin:/bin"},
                file_actions=actions,
                setsid=True,
            )
        self._pidfd = os.pidfd_open(self.pid)
        self._ours.callback(os.close, self._pidfd)
        self._exit = asyncio.create_task(wait_for_exit(self.pid, self._pidfd))

    async def start(self) -> None:
        """Have it enter, and run the command. Raises RuntimeUnavailable."""
        with contextlib.suppress(BrokenPipeError):  # it has ended; what it said is read below
            self._tells.sendall(json.dumps(self._told).encode())
        self._tells.close()
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                said = (await read_to_end(self._says)).decode().strip()
        except TimeoutError:
            raise RuntimeUnavailable(
                f"the command did not start within {_START_TIMEOUT:.0f} s", hint="run: moat list"
            ) from None
        try:
            self._group = int(said)
            self._main = os.pidfd_open(self._group)
            self._ours.callback(os.close, self._main)
        except ProcessLookupError:
            pass  # it has ended already
        except ValueError:
            raise RuntimeUnavailable(
                said or "the box cannot be entered: it has ended", hint="run: moat list"
            ) from None

    async def wait(self) -> int:
        """Wait for the end; the exit code as a shell would give it."""
        return await asyncio.shield(self._exit)

    def signal(self, number: int) -> None:
        """Send a signal to the command, and to what it has started and not sent away."""
        if self._main is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # It leads a session of its own, and so a group of its number as long as it is there.
            signal.pidfd_send_signal(self._main, 0)
            os.killpg(self._group, number)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal; without one, nothing happens."""
        if self._execution.terminal is not None:
            termios.tcsetwinsize(self.stdout, (rows, columns))

    def close_stdin(self) -> None:
        """End the command's standard input; a terminal stays open."""
        if self._execution.terminal is None and self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    async def destroy(self) -> None:
        """End it at once, and give back what it held."""
        self._tells.close()
        self.signal(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        await self._exit
        self._main = None
        self.close_stdin()
        self._ours.close()
