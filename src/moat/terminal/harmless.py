"""Which sequences may reach a person's terminal: those that are named here, and no others.

They draw, move, colour, and switch what is switched off again at the end of a run (`modes`).
What a terminal had before the run is not theirs to take: lines that have scrolled by, keyboards
and titles that somebody else has put aside.
"""

from __future__ import annotations

import re
from functools import lru_cache

from moat.terminal.modes import KEYBOARDS, OTHER_SCREEN, SCREENS, TITLES, Modes
from moat.terminal.sequence import Csi

# Modes a program may set and reset, by their numbers.
MODES = frozenset(
    (
        *(1, 5, 6, 7, 12, 25, 66),  # keys, colours, origin, wrapping, cursor, keypad
        *(9, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016),  # mouse and focus
        *(47, 1047, 1048, 1049),  # another screen, and the cursor saved for it
        *(2004, 2026, 2031),  # pastes in brackets, updates at one go, news of dark and light
    )
)
# Finals of sequences without private letter or intermediate, which only draw and move.
_DRAWING = b"@ABCDEFGHILMPSXZ`abdef"
# Text, and what of the above is common, as far as it goes: it is taken as it is, all in one.
# Nothing in it changes a mode. Whole characters of UTF-8 alone, in their only spelling, and
# none of the controls from U+0080.
HARMLESS_RUN = re.compile(
    rb"(?:[\x07-\x0f\x20-\x7e]++"
    rb"|\x1b\[(?:[0-9]{0,4}+(?:;[0-9]{0,4}+){0,4}+[%s]|[0-9;:]{0,128}+m|[0-2]?[JK])"
    rb"|(?:[\xc3-\xdf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xc2[\xa0-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})++"
    rb")*+" % _DRAWING
)
# The others, by what they are about, with the parameters they may have.
_NAMED = {
    kind: re.compile(parameters)
    for kinds, parameters in (
        (tuple(bytes([final]) for final in _DRAWING), rb"[0-9;]*"),
        # 3 would erase the lines that have scrolled by, which nothing brings back.
        ((b"J", b"K", b"?J", b"?K"), rb"[0-2]?"),
        ((b"T",), rb"[0-9]*"),  # with more numbers it begins to follow the mouse
        ((b"r",), rb"[0-9]*(?:;[0-9]*)?"),
        ((b"g",), rb"[03]?"),
        ((b"h", b"l"), rb"4"),  # characters inserted
        ((b"s", b"u", b"!p"), rb""),
        ((b" q",), rb"[0-9]*"),  # the cursor's shape
        ((b">m",), rb"4(?:;[0-9]*)?"),  # how keys are told
        ((b">n",), rb"4"),
    )
    for kind in kinds
}
_KEYBOARD = {
    b">u": re.compile(rb"[0-9]*"),
    b"<u": re.compile(rb"[0-9]*"),
    b"=u": re.compile(rb"[0-9]*(?:;[1-3]?)?"),
}
_TITLE_STACK = re.compile(rb"2[23](?:;[012]?)?(?:;0?)?")
_ESCAPES = re.compile(rb"[78=>DEHM]|[()][0AB]|#8")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_TITLE = 256  # characters
_LINK_ID = re.compile(rb"(?:id=[\w.+/=-]{1,250})?")
_LINK = re.compile(rb"https?://[!-~]{1,2000}", re.IGNORECASE)
# Where prompts and outputs begin. Not what makes a click at them type something.
_MARK = re.compile(rb"133;[ABCD](?:;(?:[0-9]{1,3}|(?:aid|err|k)=[\w.-]{1,64})){0,4}")


def harmless_csi(csi: Csi, modes: Modes) -> Csi | None:
    """A control sequence as it may be passed on, in part perhaps; None, if not at all.

    It is in its usual spelling. `modes` is what all that has passed has made of the terminal.
    """
    if csi.kind in (b"?h", b"?l"):
        return _modes(csi)
    if form := _KEYBOARD.get(csi.kind):
        return _keyboard(csi, modes) if form.fullmatch(csi.parameters) else None
    if csi.kind == b"t":
        return csi if _TITLE_STACK.fullmatch(csi.parameters) and _own_title(csi, modes) else None
    named = _NAMED.get(csi.kind)
    return csi if named and named.fullmatch(csi.parameters) else None


@lru_cache(maxsize=512)
def _modes(csi: Csi) -> Csi | None:
    # One way to the other screen and back: terminals differ in what becomes of a mixture.
    modes = [OTHER_SCREEN if mode in SCREENS else mode for mode in csi.numbers if mode in MODES]
    return csi._replace(parameters=b";".join(b"%d" % mode for mode in modes)) if modes else None


def _keyboard(csi: Csi, modes: Modes) -> Csi | None:
    """Only upon what was there: it is neither changed, taken away, nor pushed out at the bottom."""
    first, own = csi.numbers[0], modes.keyboards
    if csi.kind == b"<u":
        count = min(max(1, first), own)
        usual = csi.parameters in (b"", b"%d" % count)
        return (csi if usual else csi._replace(parameters=b"%d" % count)) if count else None
    if csi.kind == b">u":
        return csi if own < KEYBOARDS else Csi(b"=", b"%d" % first, b"u")
    taken_away = csi.numbers[1:] == (3,)
    return csi if own else Csi(b">", b"%d" % (0 if taken_away else first), b"u")


def _own_title(csi: Csi, modes: Modes) -> bool:
    """Whether a title may be put aside, or fetched back that this run has put aside."""
    how, which = (*csi.numbers, 0)[:2]
    return len(modes.titles) < TITLES if how == 22 else which in modes.titles


def harmless_escape(intermediates: bytes, final: bytes) -> bytes:
    """An escape sequence of the other kind, or nothing."""
    return b"\x1b" + intermediates + final if _ESCAPES.fullmatch(intermediates + final) else b""


def harmless_string(string: bytes, ending: bytes) -> bytes:
    """A string, with what introduces it, as it may be passed on; nothing, if not at all."""
    if not string.startswith(b"\x1b]"):
        return b""
    command = string[2:]
    number, _, rest = command.partition(b";")
    if number in (b"0", b"1", b"2"):
        title = _CONTROLS.sub("", rest.decode(errors="replace"))[:_TITLE]
        return b"\x1b]" + number + b";" + title.encode() + ending
    if number == b"8":
        return _harmless_link(rest, ending)
    return string + ending if _MARK.fullmatch(command) else b""


def _harmless_link(rest: bytes, ending: bytes) -> bytes:
    how, _, target = rest.partition(b";")
    if _LINK.fullmatch(target) and _LINK_ID.fullmatch(how):
        return b"\x1b]8;" + how + b";" + target + ending
    return b"\x1b]8;;" + ending  # the end of a link; where it leads elsewhere there is none
