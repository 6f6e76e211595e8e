"""The person's own terminal, while a run has it: raw, asked where its cursor is, given back."""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import time
import tty
from collections.abc import Iterator

# Seconds in which a terminal says where its cursor is, while the box is being made anyway.
_PATIENCE = 0.3
_ASK = b"\x1b[6n"
_PLACE = re.compile(rb"\x1b\[([0-9]{1,4});([0-9]{1,4})R")


@contextlib.contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Every key as it is, and nothing echoed; as it was before, whatever happens."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has hung up
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Cursor:
    """Finds out where the cursor is, so that a program which asks can be told.

    It is asked before anything of the box is shown, and what comes back is no key.
    """

    def __init__(self) -> None:
        self._waits = False

    def find(self) -> tuple[tuple[int, int], bytes]:
        """Row and column, from 1; and what was typed meanwhile.

        Where the terminal does not say, what is on it is pushed up, and the cursor is at the top.
        """
        if os.environ.get("TERM", "dumb") in ("", "dumb"):
            return (1, 1), b""
        typed = b""
        try:
            write_whole(1, _ASK)
            end = time.monotonic() + _PATIENCE
            while (left := end - time.monotonic()) > 0 and select.select([0], [], [], left)[0]:
                if not (data := os.read(0, 1024)):
                    break
                typed += data
                if found := _PLACE.search(typed):
                    rest = typed[: found.start()] + typed[found.end() :]
                    return (int(found[1]), int(found[2])), rest
        except OSError:
            return (1, 1), typed
        self._waits = True
        push_up()
        return (1, 1), typed

    def without_answer(self, data: bytes) -> bytes:
        """What was typed, less an answer that came late."""
        if self._waits and (found := _PLACE.search(data)):
            self._waits = False
            return data[: found.start()] + data[found.end() :]
        return data


def push_up() -> None:
    """Move what is on the screen to where it can be scrolled back to, and the cursor to the top."""
    with contextlib.suppress(OSError):
        write_whole(1, b"\n" * os.get_terminal_size(1).lines + b"\x1b[H")


def below_all() -> None:
    """Move the cursor below what is on the screen."""
    with contextlib.suppress(OSError):
        write_whole(1, b"\x1b[%d;1H\r\n" % os.get_terminal_size(1).lines)


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]
