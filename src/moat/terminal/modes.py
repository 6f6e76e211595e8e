"""What a program has switched on at the person's terminal, so that it can be switched off.

A program that is killed leaves the terminal in its own screen, with mouse and keys reported in
ways that a shell does not understand; a hostile one leaves it so that what comes next is not seen,
or read as something else. Sequences as in xterm's "Control Sequences" and kitty's
"Comprehensive keyboard handling".
"""

from __future__ import annotations

import re

from moat.terminal.sequence import Csi

# What may change a mode, however its parameters are spelled; of the rest there is too much.
_SEQUENCE = re.compile(
    rb"\x1b\[(?![0-9;:]*m)(?P<private>[<-?]?)(?P<parameters>[0-9;:]{0,600})"
    rb"(?P<final>[ -/]{0,4}[ghlmnpqrstu])"
    rb"|\x1b(?P<escape>[78Hc\]])"
)
# The beginning of a sequence, cut off where the bytes end.
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]{0,600}[ -/]{0,4})?\Z")
_ON_BY_DEFAULT = frozenset({7, 25})  # autowrap, the cursor
SCREENS = frozenset({47, 1047, 1049})  # left last: what was set in one is undone in it
OTHER_SCREEN = 1049  # the one that is mostly used
# What is worth undoing; others are harmless, or harm when they are switched off (2 is VT52).
UNDONE = _ON_BY_DEFAULT | SCREENS | {1, 5, 6, 9, 12, 66, 69, 2004, 2026, 2031}
UNDONE |= {*range(1000, 1008), 1015, 1016}  # the mouse
_UPDATE, _ORIGIN, _WRAPPING, _CURSOR_SAVED = 2026, 6, 7, 1048
# Of these terminals differ whether they are put aside with the cursor, and come back with it.
_WITH_CURSOR = frozenset({5, _ORIGIN, _WRAPPING})
# Out of a sequence and of a string, neither of which may take in what comes next.
_OUT_OF_IT = b"\x18\x1b\\"
_NO_LINK = b"\x1b]8;;\x1b\\"
# Every eighth column of a terminal of up to 520, and the cursor back where it was.
_TABS = b"\x1b7\r\x1b[3g" + b"\x1b[8C\x1bH" * 65 + b"\x1b8"
# All of the screen scrolls, and the cursor is where it was.
_WHOLE = b"\x1b7\x1b[r\x1b8"
# Colours, letters and the number keys as usual.
_PLAIN = b"\x1b[m\x1b(B\x1b)B\x0f\x1b>"
_BELOW = b"\x1b[999;1H\r\n"
_CLEAR = b"\x1b[H\x1b[2J"
_MANY = 64  # keyboards, one upon the other; titles put aside
# How many of them a filter lets a run have. Terminals keep 8 and 10, and drop what is below.
KEYBOARDS, TITLES = 4, 6


class Modes:
    """Follows what is written to a terminal."""

    def __init__(self) -> None:
        self._start()
        self.titles: list[int] = []  # what of them was put aside: both, icon, window
        self._cut = b""

    def _start(self) -> None:
        self._changed: dict[int, None] = {}
        self._pushed = {False: 0, True: 0}  # each screen has keyboards of its own
        self._flags = {False: False, True: False}
        self._keys = self._shape = self._inserts = False
        self._regions: set[bool] = set()  # the screens that scroll in part; it may be one for both
        self._strings = self._tabs = self._origin = self._inserts_kept = False
        self._kept: set[int] = set()  # what may come back with the cursor
        self.drawn = False  # something else than text was written

    def feed(self, data: bytes) -> None:
        """These bytes are written next."""
        if b"\x1b" not in data and not self._cut:
            self.drawn = self.drawn or b"\x0e" in data  # other letters
            return
        data = self._cut + data
        self.drawn = True
        for match in _SEQUENCE.finditer(data):
            if match["escape"] is not None:
                self.take_escape(match["escape"])
            else:
                self.take(Csi(match["private"], match["parameters"], match["final"]))
        unfinished = _UNFINISHED.search(data)
        self._cut = unfinished[0] if unfinished else b""

    def take(self, csi: Csi) -> None:
        """This sequence is written next. When in doubt, it has changed something."""
        kind, numbers = csi.kind, csi.numbers
        match kind:
            case b"?h" | b"?l":
                for mode in numbers:
                    self._set(mode, on=kind == b"?h")
            case b"h" | b"l":
                if 4 in numbers:
                    self._inserts = kind == b"h"
            case b">u" | b"<u" | b"=u":
                self._keyboard(kind, numbers[0])
            case b"t":
                self._title(numbers)
            case b">m" | b">n":
                self._keys = kind == b">n" or numbers[1:] not in ((), (0,))
            case b" q":
                self._shape = numbers != (0,)
            case b"r":
                if csi.parameters:
                    self._regions.add(self.on_other_screen)
                else:
                    self._regions.discard(self.on_other_screen)
            case b"g":
                self._tabs = True
            case b"s":
                self._save()
            case b"!p":  # it leaves much as it is; wrapping is off then by some terminals
                self._kept.add(_WRAPPING)

    def take_escape(self, escape: bytes) -> None:
        """So is this one."""
        if escape == b"7":
            self._save()
        elif escape == b"H":
            self._tabs = True
        elif escape == b"]":
            self._strings = True
        elif escape == b"c":
            self._start()
            self.drawn = True

    def _set(self, mode: int, *, on: bool) -> None:
        self._origin = self._origin or mode == _ORIGIN
        if on and mode in (_CURSOR_SAVED, OTHER_SCREEN):
            self._save()
        if on != (mode in _ON_BY_DEFAULT):
            if mode in UNDONE:
                self._changed[mode] = None
        else:
            self._changed.pop(mode, None)

    def _save(self) -> None:
        self._kept |= self._changed.keys() & _WITH_CURSOR
        self._inserts_kept = self._inserts_kept or self._inserts

    def _keyboard(self, kind: bytes, count: int) -> None:
        other = self.on_other_screen
        if kind == b">u":
            self._pushed[other] = min(self._pushed[other] + 1, _MANY)
        elif kind == b"<u":
            self._pushed[other] = max(0, self._pushed[other] - max(1, count))
        elif not self._pushed[other]:
            self._flags[other] = True

    def _title(self, numbers: tuple[int, ...]) -> None:
        how, which = (*numbers, 0)[:2]
        if how == 22 and len(self.titles) < _MANY:
            self.titles.append(which)
        elif how == 23 and which in self.titles:
            self.titles.remove(which)

    @property
    def on_other_screen(self) -> bool:
        """Whether a program draws on a screen of its own, which is gone when it is left."""
        return not self._changed.keys().isdisjoint(SCREENS)

    @property
    def keyboards(self) -> int:
        """How many ways of telling keys lie upon the person's, on the screen that is seen."""
        return self._pushed[self.on_other_screen]

    def pause(self) -> tuple[bytes, bytes]:
        """What switches off what stands in the way of a question, and what switches it on again.

        The screen is not among it, nor how keys are reported.
        """
        modes = sorted(self._changed.keys() - SCREENS - {_UPDATE})
        on = (b"\x1b[?%d%s" % (mode, b"l" if mode in _ON_BY_DEFAULT else b"h") for mode in modes)
        return b"".join(map(_off, modes)), b"".join(on)

    def undo(self) -> bytes:
        """What must be written for the terminal to be as it was; nothing for one left alone.

        What a title was before only the terminal knows, if the program has put it aside.
        """
        if not self.drawn:
            return b""
        parts = [_OUT_OF_IT, self._switched_off()]
        if self._origin:
            parts.append(_BELOW)  # it has moved the cursor to the top
        if self._tabs:
            parts.append(_TABS)
        if self._strings:
            parts.append(_NO_LINK)
        parts += (b"\x1b[23;%dt" % which for which in reversed(self.titles))
        return b"".join((*parts, _PLAIN))

    def reset(self) -> bytes:
        """What is written in the place of a full reset, which would also take what scrolled by.

        Tab stops and titles stay, until all is undone.
        """
        written = self._switched_off() + (_NO_LINK if self._strings else b"") + _PLAIN + _CLEAR
        tabs, origin, strings = self._tabs, self._origin, self._strings
        kept, inserts_kept = self._kept, self._inserts_kept
        self._start()
        self._tabs, self._origin, self._strings = tabs, origin, strings
        self._kept, self._inserts_kept = kept, inserts_kept
        self.drawn = True
        return written

    def _switched_off(self) -> bytes:
        parts = []
        if self.on_other_screen:
            parts.append(self._popped(other=True))
        if self._keys:
            parts.append(b"\x1b[>4;0m")
        if self._shape:
            parts.append(b"\x1b[0 q")
        if self._inserts:
            parts.append(b"\x1b[4l")
        parts += map(_off, sorted(self._changed, key=lambda mode: (mode in SCREENS, mode)))
        parts.append(self._popped(other=False))
        if not self.on_other_screen and (left := self._popped(other=True)):
            parts.append(b"\x1b[?1049h" + left + b"\x1b[?1049l")
        # Behind the screen: who leaves it has again what was drawn with when it was entered.
        if self._origin:
            parts.append(_off(_ORIGIN))
        parts += map(_off, sorted(self._kept - {_ORIGIN}))
        if self._inserts_kept:
            parts.append(b"\x1b[4l")
        if self._regions:
            parts.append(_WHOLE)
        return b"".join(parts)

    def _popped(self, *, other: bool) -> bytes:
        popped = b"\x1b[<%du" % self._pushed[other] if self._pushed[other] else b""
        return popped + (b"\x1b[=0u" if self._flags[other] else b"")


def _off(mode: int) -> bytes:
    return b"\x1b[?%d%s" % (mode, b"h" if mode in _ON_BY_DEFAULT else b"l")
