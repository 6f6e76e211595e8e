"""The sandbox: a box of namespaces made by bubblewrap, without a daemon and without root."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moat.core.limits import Exceeded, LimitName
from moat.errors import RuntimeUnavailable
from moat.runtimes.descriptors import read_some, read_to_end, wait_for_exit, wait_readable
from moat.runtimes.interface import BoxSockets, BoxSpec, Execution
from moat.runtimes.sandbox.bwrap import explain_failure, find_bwrap
from moat.runtimes.sandbox.limited import Limited
from moat.runtimes.sandbox.netns import listen_in_netns
from moat.runtimes.sandbox.protect import protect
from moat.runtimes.sandbox.spawn import KEYS, Spawned

if TYPE_CHECKING:
    from moat.runtimes.sandbox.execute import SandboxExecuted

# Longer than any start that will still succeed, on a machine that is short of everything.
_START_TIMEOUT = 30.0
# How long the kernel may take to end a box that was killed: a process may hang in a dead disk.
_END_TIMEOUT = 10.0


class SandboxBox:
    """A sandbox at its gate, or past it. See `moat.runtimes.protocols.Box`."""

    def __init__(self, spec: BoxSpec) -> None:
        self._cleanup = contextlib.ExitStack()
        self._init: int | None = None  # pidfd of the box's first process
        self._main: int | None = None  # pidfd of the command
        self._exit: asyncio.Task[int] | None = None
        self._child: int  # the box's first process
        self._umask = spec.umask
        self._terminal = spec.terminal is not None
        self._protected, self._guards = spec.protected, spec.guards
        self._limited = Limited(spec.limits, spec.run)
        self._bwrap = find_bwrap()
        self._spawned = spawned = Spawned(self._bwrap, spec)
        self._cleanup.callback(spawned.close)
        self._pid, self._gate = spawned.pid, spawned.gate
        self.stdin, self.stdout, self.stderr = spawned.stdin, spawned.stdout, spawned.stderr
        self.sockets: BoxSockets
        self._pidfd = self._keep(os.pidfd_open(self._pid))

    async def reach_gate(self) -> None:
        """Wait until the box stands, with Moat's sockets in it. Raises RuntimeUnavailable."""
        self._exit = asyncio.create_task(wait_for_exit(self._pid, self._pidfd))
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                child = self._child = await self._read_info()
                # While bubblewrap makes its mounts.
                self._limited.take(child)
                try:
                    self.sockets = listen_in_netns(child)
                    self._cleanup.callback(self.sockets.close)
                    await self._until_ready()
                    protect(child, self._protected, self._guards)
                    await self._limited.settle(child)
                except RuntimeUnavailable as error:
                    raise await self._explain(error) from None
                self._main = self._find_main(child)
        except TimeoutError:
            raise RuntimeUnavailable(
                f"the sandbox did not start within {_START_TIMEOUT:.0f} s", hint="run: moat doctor"
            ) from None

    async def _read_info(self) -> int:
        """The process id of the box's first process, once bubblewrap has said all of it."""
        said = await read_to_end(self._spawned.info)
        try:
            child = int(json.loads(said)["child-pid"])
            # A second hold on the box, should bubblewrap itself be gone.
            self._init = self._keep(os.pidfd_open(child))
        except (ValueError, KeyError, ProcessLookupError):
            raise await self._explain() from None
        return child

    async def _until_ready(self) -> None:
        ready = asyncio.create_task(wait_readable(self._gate.fileno()))
        assert self._exit is not None
        try:
            await asyncio.wait({ready, self._exit}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not ready.done() or self._gate.recv(16) != b"ready\n":
            raise RuntimeUnavailable("the sandbox ended before it stood", hint="run: moat doctor")

    async def _explain(self, error: RuntimeUnavailable | None = None) -> RuntimeUnavailable:
        """What bubblewrap said about its end; the error that was met, if it said nothing."""
        assert self._exit is not None
        self._send(self._pidfd, signal.SIGKILL)
        code = await self._exit
        source = self.stdout if self.stderr is None else self.stderr
        said = (await read_some(source)).decode(errors="replace")
        if error is not None and not said.strip():
            return error
        return explain_failure(said or f"bubblewrap ended with {code}", self._bwrap)

    def _find_main(self, init: int) -> int | None:
        """A hold on the command: the one child of the box's first process."""
        try:
            children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
            return self._keep(os.pidfd_open(int(children[0])))
        except (OSError, IndexError):
            return None

    def open_gate(self) -> None:
        """Let the command start."""
        self._gate.send(b"go\n")
        self._gate.close()

    async def execute(self, execution: Execution) -> SandboxExecuted:
        """Start a further command in the box. Raises RuntimeUnavailable."""
        from moat.runtimes.sandbox.execute import SandboxExecuted  # here, as few runs have any

        executed = SandboxExecuted(execution, self._child, umask=self._umask)
        try:
            # Moving a process to a group waits for all processors of the machine.
            await asyncio.to_thread(self._limited.admit, executed.pid)
            await executed.start()
        except ProcessLookupError:
            await executed.destroy()
            raise RuntimeUnavailable(
                "what starts a command in the box ended at once",
                hint="was Moat replaced since the run began? start the run anew",
            ) from None
        except BaseException:
            await executed.destroy()
            raise
        return executed

    async def wait(self) -> int:
        """Wait for the end; the exit code as a shell would give it."""
        assert self._exit is not None
        code = await asyncio.shield(self._exit)
        self._limited.ended(failed=code != 0)
        return code

    @property
    def exceeded(self) -> Exceeded | None:
        """The limit that ended the box, or is about to."""
        return self._limited.exceeded

    @property
    def met(self) -> tuple[Exceeded, ...]:
        """All limits that were met, whether or not they ended it."""
        return self._limited.met

    @property
    def held(self) -> Mapping[LimitName, str]:
        """What holds each of its limits."""
        return self._limited.held

    async def wait_exceeded(self) -> Exceeded:
        """Wait until a limit was met for which the box should be destroyed; past the gate."""
        return await self._limited.wait_exceeded()

    def signal(self, number: int) -> None:
        """Send a signal to the command; as a terminal would, where there is none."""
        if number in KEYS and not self._terminal:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, number)  # bubblewrap, in the same group, ignores it
            return
        self._send(self._main if self._main is not None else self._pidfd, number)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal; without one, nothing happens."""
        if self._terminal:
            termios.tcsetwinsize(self.stdout, (rows, columns))

    def close_stdin(self) -> None:
        """End the command's standard input; a terminal stays open."""
        if not self._terminal and self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    async def destroy(self) -> None:
        """End everything in the box at once, and give back what it held."""
        for pidfd in (self._init, self._pidfd):
            if pidfd is not None:
                self._send(pidfd, signal.SIGKILL)
        if self._exit is None:
            self._exit = asyncio.create_task(wait_for_exit(self._pid, self._pidfd))
        await self._exit
        await self._until_gone()
        await self._limited.close()
        self._gate.close()
        self.close_stdin()
        self._cleanup.close()

    async def _until_gone(self) -> None:
        """Wait for the box's first process: the kernel lets it go after all the others."""
        if self._init is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await wait_readable(self._init)

    def _keep(self, descriptor: int) -> int:
        self._cleanup.callback(os.close, descriptor)
        return descriptor

    @staticmethod
    def _send(pidfd: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)


class SandboxRuntime:
    """Makes sandboxes. See `moat.runtimes.protocols.Runtime`."""

    name = "sandbox"

    def make_ready(self) -> None:
        """Find bubblewrap. Raises RuntimeUnavailable."""
        find_bwrap()

    async def create(self, spec: BoxSpec) -> SandboxBox:
        """Make a sandbox, up to its gate. Raises RuntimeUnavailable."""
        box = SandboxBox(spec)
        try:
            await box.reach_gate()
        except BaseException:
            await box.destroy()
            raise
        return box
