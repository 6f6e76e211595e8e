"""What a program has switched on at the person's terminal, so that it can be switched off.

A program that is killed leaves the terminal in its own screen, with mouse and keys reported in
ways that a shell does not understand; a hostile one leaves it so that what comes next is not seen,
or read as something else. Sequences as in xterm's "Control Sequences" and kitty's
"Comprehensive keyboard handling".
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    rb"\x1b\[\?(?P<modes>[0-9;]{1,600})(?P<on>[hl])"
    rb"|\x1b\[>(?P<push>[0-9;]{0,16})u"
    rb"|\x1b\[<(?P<pop>[0-9]{0,5})u"
    rb"|\x1b\[=(?P<flags>[0-9]{0,5})(?:;[0-9])?u"
    rb"|\x1b\[4(?P<inserts>[hl])"
    rb"|\x1b\[>4(?:;(?P<keys>[0-9]{0,5}))?m|(?P<without>\x1b\[>4n)"
    rb"|\x1b\[(?P<shape>[0-9]{0,5}) q"
    rb"|\x1b\[(?P<region>[0-9]{0,5};[0-9]{0,5})?r"
    rb"|(?P<string>\x1b\])"
    rb"|(?P<tabs>\x1bH|\x1b\[[0-9;]{0,128}g)"
    rb"|(?P<reset>\x1bc)"  # the other one, CSI ! p, leaves much as it is
)
# The beginning of a sequence, cut off where the bytes end.
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;?<>=!]{0,600} ?)?\Z")
_ON_BY_DEFAULT = frozenset({7, 25})  # autowrap, the cursor
_SCREENS = frozenset({47, 1047, 1049})  # left last: what was set in one is undone in it
# What is worth undoing; others are harmless, or harm when they are switched off (2 is VT52).
_UNDONE = _ON_BY_DEFAULT | _SCREENS | {1, 5, 6, 9, 12, 66, 69, 2004, 2026, 2031}
_UNDONE |= {*range(1000, 1008), 1015, 1016}  # the mouse
_UPDATE, _ORIGIN = 2026, 6
# Out of a sequence and of a string, neither of which may take in what comes next.
_OUT_OF_IT = b"\x18\x1b\\"
_NO_LINK = b"\x1b]8;;\x1b\\"
# Every eighth column of a terminal of up to 520, and the cursor back where it was.
_TABS = b"\x1b7\r\x1b[3g" + b"\x1b[8C\x1bH" * 65 + b"\x1b8"
# Colours, letters and the number keys as usual.
_PLAIN = b"\x1b[m\x1b(B\x1b)B\x0f\x1b>"
_BELOW = b"\x1b[999;1H\r\n"
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
        self._keys = self._shape = self._region = self._inserts = False
        self._drawn = self._strings = self._tabs = self._origin = False

    def feed(self, data: bytes) -> None:
        """These bytes are written next."""
        if b"\x1b" not in data and not self._cut:
            self._drawn = self._drawn or b"\x0e" in data  # other letters
            return
        data = self._cut + data
        self._drawn = True
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
            case "without":
                self._keys = True
            case "string":
                self._strings = True
            case "tabs":
                self._tabs = True
            case "shape":
                self._shape = match["shape"] not in (b"", b"0")
            case "region":
                self._region = True
            case "reset":
                self._start()
                self._drawn = True
            case _ if match[0].startswith(b"\x1b[>4"):
                self._keys = match["keys"] not in (None, b"", b"0")
            case _:
                self._region = False

    def _set(self, mode: int, *, on: bool) -> None:
        self._origin = self._origin or mode == _ORIGIN
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
        modes = sorted(self._changed.keys() - _SCREENS - {_UPDATE})
        off = (b"\x1b[?%d%s" % (mode, b"h" if mode in _ON_BY_DEFAULT else b"l") for mode in modes)
        on = (b"\x1b[?%d%s" % (mode, b"l" if mode in _ON_BY_DEFAULT else b"h") for mode in modes)
        return b"".join(off), b"".join(on)

    def undo(self) -> bytes:
        """What must be written for the terminal to be as it was; nothing for one left alone.

        Of a title only the program knows what it was before.
        """
        if not self._drawn:
            return b""
        parts = [_OUT_OF_IT]
        if self.on_other_screen:
            parts.append(self._keyboards(other=True))
        if self._keys:
            parts.append(b"\x1b[>4;0m")
        if self._shape:
            parts.append(b"\x1b[0 q")
        if self._region:
            parts.append(b"\x1b[r")
        if self._inserts:
            parts.append(b"\x1b[4l")
        for mode in sorted(self._changed, key=lambda mode: (mode in _SCREENS, mode)):
            parts.append(b"\x1b[?%d%s" % (mode, b"h" if mode in _ON_BY_DEFAULT else b"l"))
        parts.append(self._keyboards(other=False))
        # Behind the screen: who leaves it has again what was drawn with when it was entered.
        if self._origin:
            parts.append(b"\x1b[?6l")
        if self._origin or self._region:
            parts.append(_BELOW)  # either has moved the cursor to the top
        if self._tabs:
            parts.append(_TABS)
        if self._strings:
            parts.append(_NO_LINK)
        return b"".join((*parts, _PLAIN))

    def _keyboards(self, *, other: bool) -> bytes:
        popped = b"\x1b[<%du" % self._pushed[other] if self._pushed[other] else b""
        return popped + (b"\x1b[=0u" if self._flags[other] else b"")
