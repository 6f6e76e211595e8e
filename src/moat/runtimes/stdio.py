"""What a program of a box reads and writes: three pipes, or a terminal, with our ends of it."""

from __future__ import annotations

import contextlib
import os
import termios
from typing import TypeAlias

Actions: TypeAlias = list[tuple[int, int, int] | tuple[int, int, str, int, int]]


class Stdio:
    """Our ends, which do not block; on a terminal of this size (rows, columns), or of pipes.

    On a terminal `stdin` and `stdout` are one and the same, and `stderr` is None. `actions` give a
    program its ends as os.posix_spawn has them. The ends are closed with `ours` and `theirs`, but
    for `stdin`, if it is a pipe: that is closed by who writes to it.
    """

    def __init__(
        self,
        terminal: tuple[int, int] | None,
        *,
        ours: contextlib.ExitStack,
        theirs: contextlib.ExitStack,
    ) -> None:
        self.stderr: int | None = None
        if terminal is not None:
            self._open_terminal(terminal, ours, theirs)
            return
        stdin, self.stdin = pipe(ours, theirs, ours_writes=True)
        self.stdout, stdout = pipe(ours, theirs)
        self.stderr, stderr = pipe(ours, theirs)
        self.actions: Actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ]

    def _open_terminal(
        self,
        size: tuple[int, int],
        ours: contextlib.ExitStack,
        theirs: contextlib.ExitStack,
    ) -> None:
        master, slave = os.openpty()
        ours.callback(os.close, master)
        theirs.callback(os.close, slave)
        termios.tcsetwinsize(master, size)
        os.set_blocking(master, False)
        self.stdin = self.stdout = master
        # It becomes that of the program's own session, and so not of whoever starts the program.
        self.actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.ttyname(slave), os.O_RDWR | os.O_NOCTTY, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ]


def pipe(
    ours: contextlib.ExitStack, theirs: contextlib.ExitStack, *, ours_writes: bool = False
) -> tuple[int, int]:
    """A pipe as (read end, write end). Our end does not block."""
    reads, writes = os.pipe()
    mine, other = (writes, reads) if ours_writes else (reads, writes)
    theirs.callback(os.close, other)
    os.set_blocking(mine, False)
    if not ours_writes:
        ours.callback(os.close, mine)
    return reads, writes
