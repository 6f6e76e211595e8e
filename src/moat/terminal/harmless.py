"""Which sequences may reach a person's terminal: those that are named here, and no others.

They draw, move, colour, and switch what is switched off again at the end of a run (`modes`).
"""

from __future__ import annotations

import re

# Modes a program may set and reset, by their numbers.
MODES = frozenset(
    b"%d" % number
    for number in (
        *(1, 5, 6, 7, 12, 25, 66),  # keys, colours, origin, wrapping, cursor, keypad
        *(9, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016),  # mouse and focus
        *(47, 1047, 1048, 1049),  # another screen, and the cursor saved for it
        *(2004, 2026, 2031),  # pastes in brackets, updates at one go, news of dark and light
    )
)
# Finals of sequences without private letter or intermediate, which only draw and move.
_DRAWING = b"@ABCDEFGHIJKLMPSXZ`abdefgrsu"
_NUMBERS = re.compile(rb"[0-9;]{0,128}")
# Text, and what of the above is common, as far as it goes: it is taken as it is, all in one.
# Whole characters of UTF-8 alone, in their only spelling, and none of the controls from U+0080.
HARMLESS_RUN = re.compile(
    rb"(?:[\x07-\x0f\x20-\x7e]++"
    rb"|\x1b\[(?:[0-9;]{0,128}+[%s]|[0-9;:]{0,128}+m|\?(?:%s)[hl])"
    rb"|(?:[\xc3-\xdf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xc2[\xa0-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})++"
    rb")*+" % (_DRAWING, b"|".join(sorted(MODES)))
)
_COLOURS = re.compile(rb"[0-9;:]{0,128}")
# The others, whole: parameters, intermediates, final.
_NAMED = re.compile(
    rb"[0-9]*T"  # with more numbers it begins to follow the mouse
    rb"|4[hl]"  # characters inserted
    rb"|2[23](?:;[012])?(?:;[0-9]{1,2})?t"  # the title put aside, and fetched back
    rb"|\?[0-3]?[JK]"
    rb"|>[0-9;]{0,16}u|<[0-9]{0,5}u|=[0-9]{0,5}(?:;[0-9])?u"  # how keys are told
    rb"|>4(?:;[0-9]{0,5})?m|>4n"
    rb"|[0-9]{0,5} q"  # the cursor's shape
    rb"|!p"
)
_ESCAPES = re.compile(rb"[78=>DEHMc]|[()*+][0AB]|#8")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_TITLE = 256  # characters
_LINK_ID = re.compile(rb"(?:id=[\w.+/=-]{1,250})?")
_LINK = re.compile(rb"https?://[!-~]{1,2000}", re.IGNORECASE)
# Where prompts and outputs begin. Not what makes a click at them type something.
_MARK = re.compile(rb"133;[ABCD](?:;(?:[0-9]{1,3}|(?:aid|err|k)=[\w.-]{1,64})){0,4}")


def harmless_csi(parameters: bytes, intermediates: bytes, final: bytes) -> bytes:
    """A control sequence as it may be passed on, in part perhaps; nothing, if not at all."""
    whole = b"\x1b[" + parameters + intermediates + final
    if not intermediates and (final == b"m" or final in _DRAWING):
        form = _COLOURS if final == b"m" else _NUMBERS
        return whole if form.fullmatch(parameters) else _named(whole)
    if not intermediates and final in b"hl" and parameters[:1] == b"?":
        modes = [mode for mode in parameters[1:].split(b";") if mode in MODES]
        return b"\x1b[?" + b";".join(modes) + final if modes else b""
    return _named(whole)


def _named(whole: bytes) -> bytes:
    return whole if _NAMED.fullmatch(whole, 2) else b""


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
