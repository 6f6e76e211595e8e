"""The sandbox: a box of namespaces made by bubblewrap, without a daemon and without root."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from moat.errors import RuntimeUnavailable
from moat.files import open_without_links
from moat.runtimes.descriptors import read_some, read_to_end, wait_for_exit, wait_readable
from moat.runtimes.interface import PROXY_HOST, PROXY_PORT, BoxSpec
from moat.runtimes.sandbox.argv import (
    MASKED,
    Descriptors,
    HostLayout,
    box_command,
    box_start,
    bwrap_arguments,
)
from moat.runtimes.sandbox.bwrap import explain_failure, find_bwrap
from moat.runtimes.sandbox.devices import fix_devices
from moat.runtimes.sandbox.netns import listen_in_netns
from moat.runtimes.sandbox.protect import protect
from moat.runtimes.sandbox.seccomp import filter_program

INIT = Path(__file__).parent.parent / "init.sh"
# Longer than any start that will still succeed, on a machine that is short of everything.
_START_TIMEOUT = 30.0
# How long the kernel may take to end a box that was killed: a process may hang in a dead disk.
_END_TIMEOUT = 10.0
# The signals that a terminal sends for a key.
_KEYS = (signal.SIGINT, signal.SIGQUIT)
_JAVA = re.compile(r"java-[0-9]+-openjdk")  # where Debian keeps a Java's settings
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# The descriptors bubblewrap is started with, besides standard input, output and error.
_GATE, _ARGUMENTS, _INFO, _BLOCK, _SECCOMP, _START, _WORKSPACE = 3, 4, 5, 6, 7, 8, 9
_FIRST_SOURCE = 10
_FIRST_FREE = 64

_Actions: TypeAlias = list[tuple[int, int, int] | tuple[int, int, str, int, int]]


def read_host_layout() -> HostLayout:
    """How this machine's system directories lie."""
    directories, links = [], []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            links.append((str(path), str(path.readlink())))
        elif path.is_dir():
            directories.append(str(path))
    masked = tuple(path for path in MASKED if os.access(path, os.R_OK))
    java = tuple(f"/etc/{name}" for name in sorted(os.listdir("/etc")) if _JAVA.fullmatch(name))  # noqa: PTH208
    return HostLayout(tuple(directories), tuple(links), masked, java)


def _keep_descriptors_to_ourselves() -> None:
    """Let no descriptor of ours pass into a box, wherever it came from.

    Python opens its own so; those the person's shell or a careless parent left open are not.
    """
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # numbers, not files
        with contextlib.suppress(OSError):  # the one this directory was read by
            os.set_inheritable(int(name), False)


def _start(bwrap: str, actions: _Actions, *, umask: int) -> int:
    """Start bubblewrap with these descriptors and no other; its process id."""
    _keep_descriptors_to_ourselves()
    # A Ctrl-C goes to all the processes of a terminal's foreground, bubblewrap's own among them:
    # they inherit that it is ignored, and init gives it back to the command.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _KEYS}
    ours = os.umask(umask)
    try:
        # An empty environment and options by descriptor: what bubblewrap was started with could
        # be read inside the box, at /proc/1, and by every user of the host.
        return os.posix_spawn(
            bwrap,
            ["bwrap", "--args", str(_ARGUMENTS), "--", *box_command()],
            {},
            file_actions=actions,
            setsid=True,
            setsigdef=[signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ],
        )
    finally:
        os.umask(ours)
        for number, handler in before.items():
            signal.signal(number, handler)


class SandboxBox:
    """A sandbox at its gate, or past it. See `moat.runtimes.interface.Box`."""

    def __init__(self, spec: BoxSpec) -> None:
        self._cleanup = contextlib.ExitStack()
        self._init: int | None = None  # pidfd of the box's first process
        self._main: int | None = None  # pidfd of the command
        self._exit: asyncio.Task[int] | None = None
        self.listener: socket.socket
        self.stdin: int
        self.stdout: int
        self.stderr: int | None = None
        self._terminal = spec.terminal is not None
        self._protected = spec.protected
        self._spawn(spec)

    def _spawn(self, spec: BoxSpec) -> None:
        """Start bubblewrap; it stops before the command and before the gate."""
        self._bwrap = find_bwrap()
        with contextlib.ExitStack() as theirs:
            # First, as it may fail: there is nothing of ours yet to give back.
            given = [*self._sources(spec, theirs)]
            numbers = Descriptors(
                info=_INFO,
                block=_BLOCK,
                seccomp=_SECCOMP,
                start=_START,
                workspace=_WORKSPACE,
                sources=tuple(number for _, number in given[1:]),
            )
            arguments = bwrap_arguments(spec, read_host_layout(), numbers, init=str(INIT))
            listed = b"".join(os.fsencode(argument) + b"\0" for argument in arguments)
            self._gate, gate = self._socketpair(theirs)
            self._info, info = self._pipe(theirs)
            block, self._block = self._pipe(theirs, ours_writes=True)
            given += [(gate, _GATE), (info, _INFO), (block, _BLOCK)]
            for number, name, content in (
                (_ARGUMENTS, "arguments", listed),
                (_SECCOMP, "seccomp", filter_program(os.uname().machine)),
                (_START, "start", box_start(spec)),
            ):
                given.append((memory_file(name, content), number))
                theirs.callback(os.close, given[-1][0])
            actions = self._stdio(spec, theirs)
            for source, target in given:
                # Out of the way first: a source may have the number of another's target.
                high = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
                theirs.callback(os.close, high)
                actions.append((os.POSIX_SPAWN_DUP2, high, target))
            self._pid = _start(self._bwrap, actions, umask=spec.umask)
        self._pidfd = self._keep(os.pidfd_open(self._pid))

    @staticmethod
    def _sources(spec: BoxSpec, theirs: contextlib.ExitStack) -> Iterator[tuple[int, int]]:
        """What is mounted by descriptor, opened, and the numbers for it: the workspace, and the
        mounts that were judged."""
        judged = [mount.source for mount in spec.mounts if mount.judged]
        if len(judged) > _FIRST_FREE - _FIRST_SOURCE:
            raise RuntimeUnavailable(
                f"a box takes {_FIRST_FREE - _FIRST_SOURCE} mounts at most",
                hint="mount a directory that holds several",
            )
        for number, path in enumerate((spec.workspace, *judged), start=_WORKSPACE):
            opened = open_without_links(path)
            theirs.callback(os.close, opened)
            yield opened, number

    def _stdio(self, spec: BoxSpec, theirs: contextlib.ExitStack) -> _Actions:
        if spec.terminal is None:
            stdin, self.stdin = self._pipe(theirs, ours_writes=True)
            self.stdout, stdout = self._pipe(theirs)
            self.stderr, stderr = self._pipe(theirs)
            return [
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
            ]
        master, slave = os.openpty()
        self._keep(master)
        theirs.callback(os.close, slave)
        termios.tcsetwinsize(master, spec.terminal)
        os.set_blocking(master, False)
        self.stdin = self.stdout = master
        # The new session has no terminal yet, so the first it opens becomes its own: the box
        # never shares one with the user.
        return [
            (os.POSIX_SPAWN_OPEN, 0, os.ttyname(slave), os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ]

    async def reach_gate(self) -> None:
        """Wait until the box stands, with its proxy's listener in it. Raises RuntimeUnavailable."""
        self._exit = asyncio.create_task(wait_for_exit(self._pid, self._pidfd))
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                child = await self._read_info()
                try:
                    self.listener = listen_in_netns(child, PROXY_HOST, PROXY_PORT)
                    self._cleanup.callback(self.listener.close)
                    self._let_go_of_block()
                    await self._until_ready()
                    fix_devices(child)
                    protect(child, self._protected)
                except RuntimeUnavailable as error:
                    raise await self._explain(error) from None
                self._main = self._find_main(child)
        except TimeoutError:
            raise RuntimeUnavailable(
                f"the sandbox did not start within {_START_TIMEOUT:.0f} s", hint="run: moat doctor"
            ) from None

    async def _read_info(self) -> int:
        """The process id of the box's first process, once bubblewrap has said all of it."""
        said = await read_to_end(self._info)
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

    async def wait(self) -> int:
        """Wait for the end; the exit code as a shell would give it."""
        assert self._exit is not None
        return await asyncio.shield(self._exit)

    def signal(self, number: int) -> None:
        """Send a signal to the command; as a terminal would, where there is none."""
        if number in _KEYS and not self._terminal:
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
        self._gate.close()
        self._let_go_of_block()
        self.close_stdin()
        self._cleanup.close()

    async def _until_gone(self) -> None:
        """Wait for the box's first process: the kernel lets it go after all the others."""
        if self._init is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await wait_readable(self._init)

    # descriptors

    def _keep(self, descriptor: int) -> int:
        self._cleanup.callback(os.close, descriptor)
        return descriptor

    def _pipe(self, theirs: contextlib.ExitStack, *, ours_writes: bool = False) -> tuple[int, int]:
        """A pipe as (read end, write end); the box's end is closed with `theirs`."""
        reads, writes = os.pipe()
        ours, other = (writes, reads) if ours_writes else (reads, writes)
        theirs.callback(os.close, other)
        os.set_blocking(ours, False)
        if not ours_writes:
            self._keep(ours)
        return reads, writes

    def _socketpair(self, theirs: contextlib.ExitStack) -> tuple[socket.socket, int]:
        ours, other = socket.socketpair()
        theirs.callback(other.close)
        ours.setblocking(False)
        return ours, other.fileno()

    def _let_go_of_block(self) -> None:
        """Let bubblewrap go on to the gate."""
        if self._block >= 0:
            os.close(self._block)
            self._block = -1

    @staticmethod
    def _send(pidfd: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)


class SandboxRuntime:
    """Makes sandboxes. See `moat.runtimes.interface.Runtime`."""

    name = "sandbox"

    async def create(self, spec: BoxSpec) -> SandboxBox:
        """Make a sandbox, up to its gate. Raises RuntimeUnavailable."""
        box = SandboxBox(spec)
        try:
            await box.reach_gate()
        except BaseException:
            await box.destroy()
            raise
        return box


def memory_file(name: str, content: bytes) -> int:
    """A descriptor that reads as the content, from its beginning."""
    descriptor = os.memfd_create("moat-" + name, os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
