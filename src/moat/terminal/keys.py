"""The keys that detach a person from a run, found in what they type.

Keys may come as bytes, or as kitty's or xterm's sequences, whichever a program has switched on.
Everything else goes on byte for byte, in its order, whatever pieces it comes in.
"""

from __future__ import annotations

import re

from moat.errors import UsageError

DEFAULT_KEYS = "ctrl-/ d"
_PASTE = b"\x1b[200~"
_PASTE_END = b"\x1b[201~"
_CSI = re.compile(rb"\x1b\[[0-?]*+[ -/]*+[@-~]")
# A sequence that goes on in what comes next. One that nobody types by hand may be held back.
_CUT = re.compile(rb"\x1b(?:\[(?:[0-9][0-?]{0,62})?)?\Z")
_TO_HOLD = 3  # bytes: shorter ones are the keys Esc and Alt-[, and go on at once
# CSI code:shifted:… ; modifiers:event ; text u, and CSI 27 ; modifiers ; code ~
_KITTY = re.compile(
    rb"\x1b\[([0-9]{1,7})(?::([0-9]{0,7}))?(?::[0-9]*)?"
    rb"(?:;([0-9]{0,4})(?::([0-9]))?(?:;[0-9:]*)?)?u"
)
_XTERM = re.compile(rb"\x1b\[27;([0-9]{1,4});([0-9]{1,7})~")
_SHIFT, _CTRL = 1, 4
_LOCKS = 64 | 128  # caps lock and num lock, which say nothing
_PRESSED = (None, b"1")
_MODIFIERS = range(57441, 57455)  # the keys shift, ctrl, … themselves
_MOST_LET_GO = 16  # keys let go of between the two

Key = tuple[int, int]  # the character's code, and the modifiers that are held


def parse_detach_keys(text: str) -> tuple[Key, Key] | None:
    """The two keys of a setting such as `ctrl-/ d`; None for `none`. Raises UsageError."""
    if text.strip().lower() == "none":
        return None
    first, second, *more = (*map(_parse, text.split()), None, None)
    if first is None or second is None or len(more) != 2:
        raise UsageError(
            f"{text!r} are no keys to detach with",
            hint="two keys, the first with ctrl, such as: ctrl-/ d; or: none",
        )
    if not first[1] or first == second:
        why = "the same twice" if first == second else "a key that is typed all the time"
        raise UsageError(
            f"{text!r} cannot detach: it begins with {why}",
            hint="the first key is held with ctrl, such as: ctrl-/ d",
        )
    return first, second


def _parse(word: str) -> Key | None:
    name = word.lower().removeprefix("ctrl-")
    if len(name) == len(word):
        return (ord(word), 0) if len(word) == 1 and "!" <= word <= "~" else None
    return (ord(name), _CTRL) if len(name) == 1 and _control(ord(name)) is not None else None


def _control(code: int) -> int | None:
    """The byte that ctrl and a key send; None where they send none of their own."""
    if ord("a") <= code <= ord("z") and chr(code) not in "hijm":  # backspace, tab, and line ends
        return code & 0x1F
    return {"@": 0, "\\": 0x1C, "]": 0x1D, "^": 0x1E, "_": 0x1F, "/": 0x1F}.get(chr(code))


class DetachKeys:
    """Follows what is typed. The second key counts right behind the first.

    The first twice sends it once; behind the first anything else sends both.
    """

    def __init__(self, keys: tuple[Key, Key] | None) -> None:
        self._keys = keys
        self._gone = b""  # the beginning of a sequence that went on already
        self._held = b""  # or that did not
        self._armed: list[bytes] = []  # the first key, and what was let go of since
        self._pasting = False

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes on to the program, and whether to detach; then the rest is dropped."""
        if self._keys is None:
            return data, False
        gone, self._gone = self._gone, b""
        data, self._held = gone + self._held + data, b""
        out = bytearray()
        place = 0
        while place < len(data):
            typed = self._next(data, place)
            begun = place < len(gone)  # it has gone on in part, so all of it has to
            place += len(typed)
            if self._pasting:
                self._paste(typed, out)
            elif place == len(data) and _CUT.fullmatch(typed) and not self._goes(typed, begun):
                self._held = typed
            elif self._hear(typed, out, counts=not begun):
                return bytes(out[len(gone) :]), True
        return bytes(out[len(gone) :]), False

    def _next(self, data: bytes, place: int) -> bytes:
        """What is typed next: a sequence, or a byte, or a paste as far as it goes."""
        if self._pasting:
            end = data.find(_PASTE_END, place)
            return data[place:] if end < 0 else data[place : end + len(_PASTE_END)]
        found = _CSI.match(data, place) or _CUT.match(data, place)
        return found[0] if found else data[place : place + 1]

    def _goes(self, cut: bytes, begun: bool) -> bool:
        """Whether the beginning of a sequence goes on before its rest has come."""
        goes = begun or len(cut) < _TO_HOLD
        if goes:
            self._gone = cut
        return goes

    def _paste(self, typed: bytes, out: bytearray) -> None:
        out += typed
        self._pasting = not typed.endswith(_PASTE_END)
        if self._pasting:  # the end may have begun
            begun = range(min(len(typed), len(_PASTE_END) - 1), 0, -1)
            ends = (typed[-n:] for n in begun if _PASTE_END.startswith(typed[-n:]))
            self._gone = next(ends, b"")

    def _hear(self, typed: bytes, out: bytearray, *, counts: bool) -> bool:
        assert self._keys is not None
        first, second = self._keys
        key, pressed = _key(typed)
        if not self._armed:
            if counts and pressed and _is(first, key):
                self._armed = [typed]
            else:
                out += typed
                self._pasting = typed == _PASTE
            return False
        if pressed and _is(second, key):
            return True
        if (not pressed or key[0] in _MODIFIERS) and len(self._armed) < _MOST_LET_GO:
            self._armed.append(typed)
            return False
        armed, self._armed = self._armed, []
        out += b"".join(armed)
        if not (pressed and _is(first, key)):
            out += typed
            self._pasting = typed == _PASTE
        return False


def _key(typed: bytes) -> tuple[Key, bool]:
    """Which key, and whether it goes down; a byte stands for itself, without modifiers."""
    if len(typed) == 1:
        return (typed[0], 0), True
    if found := _KITTY.fullmatch(typed):
        code, held = int(found[1]), _held(found[3])
        if held & _SHIFT and found[2]:  # the layout has the character behind shift
            code, held = int(found[2]), held & ~_SHIFT
        return (code, held), found[4] in _PRESSED
    if found := _XTERM.fullmatch(typed):
        return (int(found[2]), _held(found[1])), True
    return (-1, 0), True


def _held(modifiers: bytes | None) -> int:
    return (int(modifiers or b"1") - 1) & ~_LOCKS


def _is(wanted: Key, key: Key) -> bool:
    code, held = wanted
    return key == wanted or (held == _CTRL and key == (_control(code), 0))
