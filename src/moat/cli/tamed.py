"""What a run printed, made fit to be read: on a person's terminal, or by a program."""

from __future__ import annotations

import re

from moat.terminal.filter import Filter

# Colours may reach the person's terminal; what would move, retitle, paste or answer may not.
_ESCAPES = re.compile(
    r"(\x1b\[[0-9;:]*m)"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)
_AT_BEGINNING = re.compile(rb"(?<=\n)\r+")
_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")


def tame(content: bytes) -> bytes:
    """The text without what a hostile program could do to a terminal; colours stay.

    Judged as characters: encoded in UTF-8, too, the controls from 0x80 to 0x9f are obeyed.
    """
    text = content.decode(errors="replace")
    return _ESCAPES.sub(lambda match: match[1] or "", text).encode()


class Tamer:
    """The same for what comes in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._filter = Filter()

    def feed(self, data: bytes) -> bytes:
        """What is left of it."""
        return tame(self._filter.feed(data).shown)


class Plain:
    """The text alone, its lines ended as in a file, of what a terminal was shown."""

    def __init__(self) -> None:
        self._tamer = Tamer()
        self._returned = b""  # where a line feed may come next
        self._begins = True  # a line

    def feed(self, data: bytes) -> bytes:
        """What is left of it."""
        text = self._returned + _COLOURS.sub(b"", self._tamer.feed(data))
        kept = text.rstrip(b"\r")
        self._returned = text[len(kept) :][:1]
        text = kept.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n")
        # At the beginning of a line there is nothing to return to: shells do it all the same.
        text = _AT_BEGINNING.sub(b"", text.lstrip(b"\r") if self._begins else text)
        self._begins = text.endswith(b"\n") if text else self._begins
        return text
