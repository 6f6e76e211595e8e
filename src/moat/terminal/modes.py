"""What a program has switched on at the person's terminal, so that it can be switched off.

A program that is killed leaves the terminal in its own screen, with mouse and keys reported in
ways that a shell does not understand. Sequences as in xterm's "Control Sequences" and kitty's
"Comprehensive keyboard handling".
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    rb"\x1b\[\?(?P<modes>[0-9;]{1,64})(?P<on>[hl])"
    rb"|\x1b\[>(?P<push>[0-9;]{0,16})u"
    rb"|\x1b\[<(?P<pop>[0-9]{0,5})u"
    rb"|\x1b\[=(?P<flags>[0-9]{0,5})(?:;[0-9])?u"
    rb"|\x1b\[4(?P<inserts>[hl])"
    rb"|\x1b\[>4(?:;(?P<keys>[0-9]{0,5}))?m"
    rb"|\x1b\[(?P<shape>[0-9]{0,5}) q"
    rb"|\x1b\[(?P<region>[0-9]{0,5};[0-9]{0,5})?r"
    rb"|\x1b(?P<keypad>[=>])"
    rb"|(?P<reset>\x1bc|\x1b\[!p)"
)
# The beginning of a sequence, cut off where the bytes end.
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;?<>=!]{0,70} ?)?\Z")
_ON_BY_DEFAULT = frozenset({7, 25})  # autowrap, the cursor
_SCREENS = frozenset({47, 1047, 1049})  # left last: what was set in one is undone in it
# What is worth undoing; others are harmless, or harm when they are switched off (2 is VT52).
_UNDONE = _ON_BY_DEFAULT | _SCREENS | {1, 5, 6, 9, 66, 69, 2004, 2031}
_UNDONE |= {*range(1000, 1008), 1015, 1016}  # the mouse
_MANY = 64  # keyboards, one upon the other


class Modes:
    """Follows what is written to a terminal."""

    def __init__(self) -> None:
        self._start()
        self._cut = b""

    def _start(self) -> None:
        self._changed: dict[int, None] = {}
        self._pushed = {False: 0, True: 0}  # each screen has keyboards of its own
        self._flags = {False: False, True: False}
        self._keys = self._shape = self._region = self._inserts = self._keypad = False

    def feed(self, data: bytes) -> None:
        """These bytes are written next."""
        if b"\x1b" not in data and not self._cut:
            return
        data = self._cut + data
        for match in _SEQUENCE.finditer(data):
            self._take(match)
        unfinished = _UNFINISHED.search(data)
        self._cut = unfinished[0] if unfinished else b""

    def _take(self, match: re.Match[bytes]) -> None:
        other = self.on_other_screen
        match match.lastgroup:
            case "on":
                for number in match["modes"].split(b";"):
                    self._set(int(number or b"0"), on=match["on"] == b"h")
            case "push":
                self._pushed[other] = min(self._pushed[other] + 1, _MANY)
            case "pop":
                self._pushed[other] = max(0, self._pushed[other] - int(match["pop"] or b"1"))
            case "flags":
                self._flags[other] = True
            case "inserts":
                self._inserts = match["inserts"] == b"h"
            case "keypad":
                self._keypad = match["keypad"] == b"="
            case "shape":
                self._shape = match["shape"] not in (b"", b"0")
            case "region":
                self._region = True
            case "reset":
                self._start()
            case _ if match[0].startswith(b"\x1b[>4"):
                self._keys = match["keys"] not in (None, b"", b"0")
            case _:
                self._region = False

    def _set(self, mode: int, *, on: bool) -> None:
        if on != (mode in _ON_BY_DEFAULT):
            if mode in _UNDONE:
                self._changed[mode] = None
        else:
            self._changed.pop(mode, None)

    @property
    def on_other_screen(self) -> bool:
        """Whether a program draws on a screen of its own, which is gone when it is left."""
        return not self._changed.keys().isdisjoint(_SCREENS)

    def pause(self) -> tuple[bytes, bytes]:
        """What switches off what stands in the way of a question, and what switches it on again.

        The screen is not among it, nor how keys are reported.
        """
        modes = sorted(self._changed.keys() - _SCREENS)
        off = (b"\x1b[?%d%s" % (mode, b"h" if mode in _ON_BY_DEFAULT else b"l") for mode in modes)
        on = (b"\x1b[?%d%s" % (mode, b"l" if mode in _ON_BY_DEFAULT else b"h") for mode in modes)
        return b"".join(off), b"".join(on)

    def undo(self) -> bytes:
        """What must be written for the terminal to be as it was; nothing for one left alone."""
        parts = [self._keyboards(other=True)] if self.on_other_screen else []
        if self._keys:
            parts.append(b"\x1b[>4;0m")
        if self._shape:
            parts.append(b"\x1b[0 q")
        if self._region:
            parts.append(b"\x1b[r")
        if self._inserts:
            parts.append(b"\x1b[4l")
        if self._keypad:
            parts.append(b"\x1b>")
        for mode in sorted(self._changed, key=lambda mode: (mode in _SCREENS, mode)):
            parts.append(b"\x1b[?%d%s" % (mode, b"h" if mode in _ON_BY_DEFAULT else b"l"))
        parts.append(self._keyboards(other=False))
        return b"\x1b[m" + b"".join(parts) if any(parts) else b""

    def _keyboards(self, *, other: bool) -> bytes:
        popped = b"\x1b[<%du" % self._pushed[other] if self._pushed[other] else b""
        return popped + (b"\x1b[=0u" if self._flags[other] else b"")
