"""Starting bubblewrap: what it is given by descriptor, and which ends of that we keep."""

from __future__ import annotations

import contextlib
import fcntl
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
from moat.runtimes.interface import BoxSpec
from moat.runtimes.sandbox.argv import (
    MASKED,
    Descriptors,
    HostLayout,
    box_command,
    box_start,
    bwrap_arguments,
)
from moat.runtimes.sandbox.filter import filter_program

INIT = Path(__file__).parent.parent / "init.sh"
# The signals that a terminal sends for a key.
KEYS = (signal.SIGINT, signal.SIGQUIT)
_JAVA = re.compile(r"java-[0-9]+-openjdk")  # where Debian keeps a Java's settings
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# The descriptors bubblewrap is started with, besides standard input, output and error.
_GATE, _ARGUMENTS, _INFO, _SECCOMP, _START, _WORKSPACE = 3, 4, 5, 6, 7, 8
_FIRST_SOURCE = 9
_FIRST_FREE = 64

_Actions: TypeAlias = list[tuple[int, int, int] | tuple[int, int, str, int, int]]


class Spawned:
    """Bubblewrap as it was started, with our ends of what leads to it.

    It says on `info` what it has made, and its first program waits at the `gate`. On a terminal
    `stdin` and `stdout` are one and the same, and `stderr` is None.
    The gate and a pipe to `stdin` are closed by who lives with it, the rest by `close`.
    """

    def __init__(self, bwrap: str, spec: BoxSpec) -> None:
        self._ours = contextlib.ExitStack()
        self.stdin: int
        self.stdout: int
        self.stderr: int | None = None
        with contextlib.ExitStack() as theirs:
            # First, as it may fail: there is nothing of ours yet to give back.
            given = [*_sources(spec, theirs)]
            numbers = Descriptors(
                info=_INFO,
                seccomp=_SECCOMP,
                start=_START,
                workspace=_WORKSPACE,
                sources=tuple(number for _, number in given[1:]),
            )
            arguments = bwrap_arguments(spec, read_host_layout(), numbers, init=str(INIT))
            listed = b"".join(os.fsencode(argument) + b"\0" for argument in arguments)
            self.gate, gate = self._socketpair(theirs)
            self.info, info = self._pipe(theirs)
            given += [(gate, _GATE), (info, _INFO)]
            for number, name, content in (
                (_ARGUMENTS, "arguments", listed),
                (_SECCOMP, "seccomp", filter_program(os.uname().machine)),
                (_START, "start", box_start(spec)),
            ):
                # By this name it is found, should it outlive us.
                given.append((memory_file(f"{spec.run}-{name}", content), number))
                theirs.callback(os.close, given[-1][0])
            actions = self._stdio(spec, theirs)
            for source, target in given:
                # Out of the way first: a source may have the number of another's target.
                high = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
                theirs.callback(os.close, high)
                actions.append((os.POSIX_SPAWN_DUP2, high, target))
            self.pid = _start(bwrap, actions, umask=spec.umask)

    def close(self) -> None:
        """Give our ends back."""
        self._ours.close()

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

    def _keep(self, descriptor: int) -> int:
        self._ours.callback(os.close, descriptor)
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
    before = {number: signal.signal(number, signal.SIG_IGN) for number in KEYS}
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


def memory_file(name: str, content: bytes) -> int:
    """A descriptor that reads as the content, from its beginning."""
    descriptor = os.memfd_create("moat-" + name, os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
