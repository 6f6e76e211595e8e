"""Escapes as URLs, JSON, JavaScript and HTML have them, and base64 broken into lines.

Each escape begins with a byte that none has at another place: so what one is does not depend on
where reading began.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CONTEXT = 60
"""Bytes before a place that can matter for what stands there: those of a line of base64."""

IN_A_LINE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_%\\-")
"""What can stand in such a line; `%` and `\\` for what is escaped in it."""

LONGEST = len(b"&#0000115;")
"""Bytes of the longest escape."""

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_%\\&#;"
"""What escapes and base64 consist of, other than the ends of lines."""

# No encoder in use makes shorter lines of base64 than of 60.
_IN_A_LINE = rb"[A-Za-z0-9+/_%\\-]"
_LINE = _IN_A_LINE + b"{%d}" % CONTEXT
_NAMES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}

_ESCAPE = re.compile(
    rb"%([0-9A-Fa-f]{2})"
    rb"|\\(?:u00([0-7][0-9A-Fa-f])|x([0-9A-Fa-f]{2})|([\"'/]))"
    rb"|&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));"
    rb"|\r(?=\n)(?<=" + _LINE + rb"\r)"
    rb"|\n(?:(?<=" + _LINE + rb"\n)|(?<=" + _LINE + rb"\r\n))"
    rb"|\\(?:r(?=\\n)|n)(?<=" + _LINE + rb"\\[rn])"
)
UNFINISHED = re.compile(
    rb"(?:%[0-9A-Fa-f]?|\\(?:u(?:0(?:0[0-7]?)?)?|x[0-9A-Fa-f]?|r\\?)?"
    rb"|&(?:#[0-9]{0,7}|#[xX][0-9A-Fa-f]{0,6}|[a-z]{0,4})?|\r)\Z"
)
"""What may become an escape with what comes next."""

BROKEN_AT_THE_END = re.compile(_LINE + rb"\r?\n?\Z")
"""The end of a line of base64 that may go on in the next."""

# Signs that a letter or digit was escaped, or a line broken. An expression that begins with one
# certain byte is looked for many times faster than one that does not, and one look back is faster
# than two: the last byte of a line may be its `\r`.
_ALNUM = rb"(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])"
_DECIMAL_ALNUM = rb"(?:4[89]|5[0-7]|6[5-9]|[78][0-9]|90|9[789]|1[01][0-9]|12[0-2])"
BROKEN = re.compile(rb"\n(?<=" + _IN_A_LINE + rb"{%d}[A-Za-z0-9+/_%%\\\r-]\n)" % (CONTEXT - 1))
_PERCENT = re.compile(rb"%" + _ALNUM)
_BACKSLASH = re.compile(rb"\\(?:n(?<=" + _LINE + rb"\\n)|(?:u00|x)" + _ALNUM + rb")")
_AMPERSAND = re.compile(rb"&#(?:0{0,5}" + _DECIMAL_ALNUM + rb"|[xX]0{0,4}" + _ALNUM + rb");")


def shows_sign(text: bytes) -> bool:
    """Whether a letter or digit may be escaped, or a line of base64 broken."""
    # One byte is found faster as a number than as bytes.
    return bool(
        (0x25 in text and _PERCENT.search(text))
        or (0x5C in text and _BACKSLASH.search(text))
        or (0x26 in text and _AMPERSAND.search(text))
        or (0x0A in text and BROKEN.search(text))
    )


def is_introduced(text: bytes) -> bool:
    """Whether an escape other than the end of a line may begin in a text."""
    return 0x25 in text or 0x5C in text or 0x26 in text


def signs(text: bytes) -> Iterator[int]:
    """Where these may be."""
    for sign in (_PERCENT, _BACKSLASH, _AMPERSAND, BROKEN):
        for match in sign.finditer(text):
            yield match.start()


def holds_any(text: bytes) -> bool:
    """Whether there is an escape in a text."""
    return _ESCAPE.search(text) is not None


def undo(text: bytes, kinds: bytes = b"%\\&\r\n") -> bytes:
    """The text without its escapes, or those of them that begin with one of these bytes."""
    if len(kinds) == 5:
        return _ESCAPE.sub(_meaning, text)
    return _ESCAPE.sub(lambda one: _meaning(one) if one[0][0] in kinds else one[0], text)


class Undone:
    """A text without its escapes, which knows where it all came from.

    `plain` is what is left; `starts` says for each byte of it where it stood; `escapes` are from
    where to where each went, and what the next byte's place in `plain` is.
    """

    def __init__(self, text: bytes) -> None:
        parts: list[bytes] = []
        self.starts: list[int] = []
        self.escapes: list[tuple[int, int, int]] = []
        self._ends: dict[int, int] = {}
        done = 0
        for escape in _ESCAPE.finditer(text):
            meaning = _meaning(escape)
            if len(meaning) > 1:
                continue
            start, end = escape.span()
            parts += (text[done:start], meaning)
            self.starts += range(done, start)
            if meaning:
                self.starts.append(start)
                self._ends[start] = end
            self.escapes.append((start, end, len(self.starts)))
            done = end
        parts.append(text[done:])
        self.starts += range(done, len(text))
        self.plain = b"".join(parts)

    def end(self, last: int) -> int:
        """Where that ended of which the byte at `last` in `plain` is left."""
        start = self.starts[last]
        return self._ends.get(start, start + 1)


def _meaning(escape: re.Match[bytes]) -> bytes:
    """The byte an escape stands for, nothing for a broken line, itself for what is no ASCII."""
    percent, json, javascript, quoted, decimal, hexadecimal, name = escape.groups()
    if code := percent or json or javascript:
        return bytes((int(code, 16),))
    if quoted:
        return quoted
    if decimal or hexadecimal:
        number = int(decimal) if decimal else int(hexadecimal, 16)
        return bytes((number,)) if number < 0x80 else escape[0]
    return _NAMES[name] if name else b""
