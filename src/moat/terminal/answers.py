"""What a program asks the terminal is answered by us, for no question reaches the person's.

An answer that comes when its asker has gone would be typed to the shell. Ours says only what is
true of what is emulated. Questions as in xterm's "Control Sequences" and kitty's
"Comprehensive keyboard handling".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from moat.terminal.harmless import MODES
from moat.terminal.modes import SCREENS
from moat.terminal.screen import Screen

_MODE_ASKED = re.compile(rb"\x1b\[\?([0-9]{1,4})\$p")
_COLOUR_ASKED = re.compile(rb"\x1b\](1[01]);\?(\x07|\x1b\\)")
_COLOUR = re.compile(rb"rgba?:[0-9a-fA-F]{1,4}(?:/[0-9a-fA-F]{1,4}){2,3}")
# A terminal of the VT220 kind with colours; the second as of a version that promises nothing.
_FIRST_ATTRIBUTES = b"\x1b[?62;22c"
_SECOND_ATTRIBUTES = b"\x1b[>1;10;0c"
_WELL = b"\x1b[0n"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the person's terminal, asked by the client before the run has it.

    `keyboard` says that it tells keys as kitty does; the colours are as it has told them
    (`rgb:ffff/ffff/ffff`), or None. What is not known is not answered: programs take a terminal
    that keeps silent for one that cannot do it.
    """

    keyboard: bool = False
    front: bytes | None = None
    back: bytes | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a colour that is none: what is answered is typed."""
        for colour in (self.front, self.back):
            if colour is not None and not _COLOUR.fullmatch(colour):
                raise ValueError(f"not a colour: {colour!r}")


def answer(question: bytes, screen: Screen, known: Known) -> bytes:
    """What a terminal answers to a sequence that was taken out; nothing, if that is no question.

    The screen is as it was where the question stood.
    """
    if question == b"\x1b[6n" or question == b"\x1b[?6n":
        screen.settle()
        row, column = screen.cursor
        return b"\x1b[%s%d;%dR" % (question[2:-2], row, column)
    if question == b"\x1b[5n":
        return _WELL
    if question in (b"\x1b[c", b"\x1b[0c"):
        return _FIRST_ATTRIBUTES
    if question in (b"\x1b[>c", b"\x1b[>0c"):
        return _SECOND_ATTRIBUTES
    if question == b"\x1b[?u":
        return _keyboard(screen) if known.keyboard else b""
    if asked := _COLOUR_ASKED.fullmatch(question):
        colour = known.front if asked[1] == b"10" else known.back
        return b"\x1b]" + asked[1] + b";" + colour + asked[2] if colour else b""
    asked = _MODE_ASKED.fullmatch(question)
    return b"\x1b[?%s;%d$y" % (asked[1], _mode(asked[1], screen)) if asked else b""


def _keyboard(screen: Screen) -> bytes:
    screen.settle()
    return b"\x1b[?%du" % (screen.side.keyboards or [0])[-1]


def _mode(asked: bytes, screen: Screen) -> int:
    """1: set, 2: reset, 0: not recognised."""
    mode = int(asked)
    if mode not in MODES:
        return 0
    screen.settle()
    if mode in SCREENS:
        return 1 if screen.side is screen.other else 2
    return 1 if mode in screen.modes else 2
