"""Gives the person's terminal back even if the client is killed: a process that does nothing else.

It waits for the client's end of a pipe to close. Where that comes without a good-bye, nobody else
can put the terminal back: it would stay raw, with whatever a program had switched on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from collections.abc import Iterator

_GOOD_BYE = b"\xff"  # no sequence for a terminal has it
_LONGEST = 1 << 12


class TerminalKeeper:
    """Our end: `undo` says what would have to be written, `leave` that all is well."""

    def __init__(self, writes: int) -> None:
        self._writes = writes
        self._said = b""

    def undo(self, sequences: bytes) -> None:
        """From now on this is what switches off what was switched on."""
        if sequences != self._said:
            self._said = sequences
            with contextlib.suppress(OSError):
                os.write(self._writes, sequences[:_LONGEST] + b"\0")

    def leave(self) -> None:
        """The terminal is as it was."""
        with contextlib.suppress(OSError):
            os.write(self._writes, _GOOD_BYE)
        os.close(self._writes)


@contextlib.contextmanager
def kept_terminal(descriptor: int) -> Iterator[TerminalKeeper]:
    """Have a terminal put back as it is now if we are killed."""
    before = termios.tcgetattr(descriptor)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _let_go_of_all(descriptor, reads)
            _keep(descriptor, before, reads)
        finally:
            os._exit(0)
    os.close(reads)
    keeper = TerminalKeeper(writes)
    try:
        yield keeper
    finally:
        keeper.leave()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _let_go_of_all(*kept: int) -> None:
    """Hold nothing open that the client held: not the run's channel, and not our own pipe."""
    last = 0
    for descriptor in sorted(kept):
        if last < descriptor:  # an empty range is taken for an endless one
            os.closerange(last, descriptor)
        last = descriptor + 1
    os.closerange(last, 1 << 16)


def _keep(descriptor: int, before: list[int | list[bytes | int]], reads: int) -> None:
    os.setsid()  # no key reaches it, and no end of the terminal's session
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    said = b""
    while data := os.read(reads, _LONGEST):
        said += data
        if said.endswith(_GOOD_BYE):
            return
        *whole, rest = said.split(b"\0")
        said = b"\0".join((*whole[-1:], rest))
    with contextlib.suppress(OSError, termios.error):
        os.write(descriptor, said.split(b"\0")[0])
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
