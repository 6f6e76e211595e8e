"""A screen of our own over whatever a program has on the terminal, which is as before afterwards.

What the program has written may have left the terminal in any state: in the midst of a sequence,
in a part of the screen, in colours that show nothing. Nothing of that may hide what we show.
Sequences as in xterm's "Control Sequences".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from moat.terminal.modes import Modes

# Where bytes may end: in a sequence, a string (title, clipboard, …), a character.
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|[\]P_^X][^\x07\x18\x1a\x1b]*\x1b?|[ -/]*)"
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
_REMEMBERED = 4096
# Cancel a sequence, end a string; end a synchronized update, which shows nothing until it ends.
_OUT_OF_IT = b"\x18\x1b\\\x1b[?2026l"
# Of another screen: its own way of reporting keys (none); colours, letters and wrapping as usual.
_OURS = b"\x1b[>0u\x1b[m\x1b(B\x0f\x1b[4l\x1b[?6l\x1b[?7h\x1b[?25h"
_CLEAR = b"\x1b[2J\x1b[H"
_BELL = b"\x07"


class Overlay:
    """Follows what is written to a terminal, and can put a screen of our own over it."""

    def __init__(self) -> None:
        self.modes = Modes()
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """These bytes are written next, by the program."""
        self.modes.feed(data)
        self._tail = (self._tail + data)[-_REMEMBERED:]

    def begin(self) -> bytes:
        """What opens our screen."""
        off, _ = self.modes.pause()
        # The first saves the cursor, and what is drawn with, as the second does by itself.
        screen = b"\x1b7" if self.modes.on_other_screen else b"\x1b[?1049h"
        return _OUT_OF_IT + off + screen + _OURS + _BELL

    def draw(self, lines: Iterable[str]) -> bytes:
        """What shows these lines, the cursor behind the last. No line is wider than the screen."""
        # By position: a line feed would scroll, in whichever part of the screen.
        rows = (b"\x1b[%d;1H%s" % (row, line.encode()) for row, line in enumerate(lines, start=1))
        return _CLEAR + b"".join(rows)

    def end(self) -> bytes:
        """What closes it, and leaves the terminal to the program where that has left off.

        A program on another screen has to draw that again.
        """
        _, on = self.modes.pause()
        screen = b"\x1b8" if self.modes.on_other_screen else b"\x1b[?1049l"
        cut = _UNFINISHED.search(self._tail)
        return b"\x1b[<1u" + _CLEAR + on + screen + (cut[0] if cut else b"")
