"""The person's own terminal, while a run has it: raw, asked what it can, given back."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moat.terminal.probe import Probe

# Seconds in which a terminal answers, while the box is being made anyway.
_PATIENCE = 0.3


@contextlib.contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Every key as it is, and nothing echoed; as it was before, whatever happens."""
    before = termios.tcgetattr(descriptor)
    try:
        # What was typed ahead is kept: it is for the run.
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has hung up
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Asked:
    """Asks the terminal what programs ask theirs, so that they can be told without it.

    That is before anything of the box is shown, and what comes back is no key.
    """

    def __init__(self) -> None:
        self._probe: Probe | None = None

    def ask(self) -> tuple[dict[str, Any], bytes]:
        """What it has told, as control.PLACE has it; and what was typed meanwhile.

        Where it does not say where its cursor is, what is on it is pushed up.
        """
        place: dict[str, Any] = {"row": 1, "column": 1}
        if os.environ.get("TERM", "dumb") in ("", "dumb"):
            return place, b""
        from moat.terminal.probe import QUESTIONS, Probe

        probe = self._probe = Probe()
        with contextlib.suppress(OSError):
            write_whole(1, QUESTIONS)
            end = time.monotonic() + _PATIENCE
            while (left := end - time.monotonic()) > 0 and not probe.done:
                if not select.select([0], [], [], left)[0] or not (data := os.read(0, 1024)):
                    break
                probe.feed(data)
        if probe.at is None:
            push_up()
        else:
            place["row"], place["column"] = probe.at
        known = probe.known
        colours = {"front": known.front, "back": known.back}
        place |= {name: colour and colour.decode() for name, colour in colours.items()}
        return place | {"keyboard": known.keyboard}, probe.typed()

    def without_answers(self, data: bytes) -> bytes:
        """What was typed, less answers that came late."""
        if self._probe is None or self._probe.done:
            return data
        self._probe.feed(data)
        return self._probe.typed()


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
