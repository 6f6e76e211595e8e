"""What a program prints, made safe for a person's terminal, as it streams by.

Only what is known to be harmless passes; the rest is taken out: what sets the clipboard, asks
the terminal for an answer (which would be typed to whoever reads next), sends files, opens or
announces things. What passes is whole sequences and whole characters of UTF-8, so that
nothing a program begins can make a terminal read what comes next in another way.
Sequences as in ECMA-48 and xterm's "Control Sequences".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from moat.terminal.harmless import HARMLESS_RUN, harmless_csi, harmless_escape, harmless_string
from moat.terminal.modes import Modes
from moat.terminal.sequence import read_csi

_CSI = re.compile(rb"\x1b\[([0-?]*)([ -/]*)(?:([@-~])|\Z)?")
_ESCAPE = re.compile(rb"\x1b([ -/]*)(?:([0-~])|\Z)?")
# What begins a string: OSC, DCS, SOS, PM, APC, and the title of screen.
_STRINGS = frozenset(b"]PX^_k")
_OSC = ord("]")
_STRING_END = re.compile(rb"[\x18\x1a\x1b]")
_OSC_END = re.compile(rb"[\x07\x18\x1a\x1b]")
# A character of UTF-8 that is not complete, where bytes end.
_CUT = re.compile(
    rb"(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}"
    rb"|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z"
)
_CONTROLS = re.compile(rb"(?:[\x00-\x06\x10-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f])++")
_REPLACEMENT = "\ufffd".encode()
_LONGEST = 512  # bytes of a sequence
_LONGEST_STRING = 4096  # bytes of a string that may pass
# Bytes of a string that is being taken out. Behind them it is text: no string goes on for ever.
_LONGEST_DROPPED = 1 << 20


@dataclass(frozen=True, slots=True)
class Filtered:
    """What may be shown, and which sequences were taken out, each with its place in `shown`."""

    shown: bytes
    taken_out: tuple[tuple[int, bytes], ...] = ()


class Filter:
    """A stream of what a program prints. Bounded, however hostile.

    `modes` follows what passes: what it is that a run may take back, and what is left on.
    """

    def __init__(self) -> None:
        self.modes = Modes()
        self._held = b""  # the beginning of a sequence or character
        self._string: bytearray | None = None  # a string that has begun, with what introduced it
        self._length = 0  # bytes of that string

    def feed(self, data: bytes) -> Filtered:
        """These bytes come next. What they leave unfinished is held back until it is finished."""
        data, self._held = self._held + data, b""
        parts = _Parts()
        place = 0
        while place < len(data):
            if self._string is not None:
                place = self._go_on(data, place, parts)
                continue
            run = HARMLESS_RUN.match(data, place)
            assert run is not None  # it may be empty
            if run.end() > place:
                parts.add(run[0])
            place = run.end()
            if place < len(data):
                place = self._other(data, place, parts)
        shown = parts.joined()
        # Text and colours pass by themselves; of them it is enough to know that there were any.
        self.modes.drawn = self.modes.drawn or b"\x1b" in shown or b"\x0e" in shown
        return Filtered(shown, tuple(parts.taken_out))

    def _other(self, data: bytes, place: int, parts: _Parts) -> int:
        """Judge what no run of text has; where reading goes on."""
        first = data[place]
        if first == 0x1B:
            return self._escape(data, place, parts)
        if controls := _CONTROLS.match(data, place):
            parts.take_out(controls[0])
            return controls.end()
        if len(data) - place < 4 and _CUT.match(data, place):
            self._held = data[place:]
            return len(data)
        parts.add(_REPLACEMENT)  # nothing that decoders could differ about
        return place + 1

    def _escape(self, data: bytes, place: int, parts: _Parts) -> int:
        kind = data[place + 1] if place + 1 < len(data) else None
        if kind in _STRINGS:
            self._string, self._length = bytearray(data[place : place + 2]), 2
            return place + 2
        found = (_CSI if kind == 0x5B else _ESCAPE).match(data, place)
        assert found is not None  # both match what begins as this does
        final = found[found.lastindex] if found.lastindex == found.re.groups else None
        if final is None and found.end() == len(data) and found.end() - place < _LONGEST:
            self._held = data[place:]  # it may go on in what comes next
        elif final is None:
            pass  # broken off: what breaks it off is read anew
        elif kind == 0x5B:
            parts.judge(found[0], self._csi(found[1], found[2] + final))
        else:
            parts.judge(found[0], self._other_escape(found[1], final))
        return found.end()

    def _csi(self, parameters: bytes, final: bytes) -> bytes:
        asked = read_csi(parameters, final)
        passes = harmless_csi(asked, self.modes) if asked else None
        if passes is None:
            return b""
        self.modes.take(passes)
        return passes.written()

    def _other_escape(self, intermediates: bytes, final: bytes) -> bytes:
        escape = intermediates + final
        if escape == b"c":
            return self.modes.reset()
        harmless = harmless_escape(intermediates, final)
        if harmless:
            self.modes.take_escape(escape)
        return harmless

    def _go_on(self, data: bytes, place: int, parts: _Parts) -> int:
        """Read on in a string; where reading goes on."""
        assert self._string is not None
        found = (_OSC_END if self._string[1] == _OSC else _STRING_END).search(data, place)
        end = found.start() if found else len(data)
        self._keep(data[place:end])
        if found is None:
            if self._length > _LONGEST_DROPPED:
                self._string = None
            return end
        if data[end] == 0x1B and end + 1 == len(data):
            self._held = b"\x1b"  # of the two bytes that end a string, perhaps
            return end + 1
        ending = b"\x1b\\" if data[end] == 0x1B else data[end : end + 1]
        if data.startswith(ending, end) and ending in (b"\x07", b"\x1b\\"):
            whole = bytes(self._string)
            kept = self._length <= _LONGEST_STRING
            harmless = harmless_string(whole, ending) if kept else b""
            if harmless:
                self.modes.take_escape(b"]")
            parts.judge(whole + ending, harmless)
            end += len(ending)
        elif ending in (b"\x18", b"\x1a"):
            end += 1
        self._string = None  # any other escape ends it as well, and is read anew
        return end

    def _keep(self, data: bytes) -> None:
        assert self._string is not None
        self._string += data[: max(0, _LONGEST_STRING - len(self._string))]
        self._length += len(data)


class _Parts:
    """What is shown, as it is put together."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0
        self.taken_out: list[tuple[int, bytes]] = []

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._length += len(data)

    def judge(self, whole: bytes, harmless: bytes) -> None:
        """Add what is harmless of a sequence, or note that it was taken out."""
        if harmless:
            self.add(harmless)
        else:
            self.take_out(whole)

    def take_out(self, sequence: bytes) -> None:
        if len(self.taken_out) < _MANY:
            self.taken_out.append((self._length, sequence))

    def joined(self) -> bytes:
        return b"".join(self._parts)


_MANY = 4096  # sequences taken out of what came at once: no more than these are answered
