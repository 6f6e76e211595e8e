"""The framing of a chunked body (RFC 9112 section 7.1), followed and not touched."""

from __future__ import annotations

import re

from moat.proxy.h1 import BARE_LF, FRAMING_FIELDS, BadMessage, parse_field

MAX_CHUNK_LINE = 4096

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
# RFC 9110 section 6.5.1: framing, routing and authentication never stand in trailers.
_NEVER_TRAILERS = FRAMING_FIELDS | {
    b"authorization",
    b"connection",
    b"cookie",
    b"expect",
    b"host",
    b"proxy-authorization",
    b"set-cookie",
    b"te",
    b"trailer",
    b"upgrade",
}


class ChunkScanner:
    """Follows the framing of a chunked body without touching its bytes."""

    def __init__(self) -> None:
        self.done = False
        self._data_left = 0  # bytes of the current chunk still to come, its CRLF included
        self._in_trailers = False

    def scan(self, data: bytes | bytearray) -> int:
        """How many bytes from the front are whole and may be passed on. Raises BadMessage."""
        position = 0
        while not self.done:
            if self._data_left:
                step = min(self._data_left, len(data) - position)
                self._check_chunk_end(data, position, step)
                position += step
                self._data_left -= step
                if self._data_left:
                    return position
                continue
            end = data.find(b"\r\n", position, position + MAX_CHUNK_LINE)
            if end < 0:
                if len(data) - position >= MAX_CHUNK_LINE or BARE_LF.search(data, position):
                    raise BadMessage("a chunk line is malformed")
                return position
            self._take_line(bytes(data[position:end]))
            position = end + 2
        return position

    def _check_chunk_end(self, data: bytes | bytearray, position: int, step: int) -> None:
        """The last two bytes of a chunk must be CRLF, however they arrive."""
        for offset, expected in ((self._data_left - 2, 0x0D), (self._data_left - 1, 0x0A)):
            if 0 <= offset < step and data[position + offset] != expected:
                raise BadMessage("a chunk does not end where it said")

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            if not line:
                self.done = True
                return
            name, _ = parse_field(line)
            if name.lower() in _NEVER_TRAILERS:
                raise BadMessage(f"{name.decode()} stands in a trailer")
            return
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise BadMessage("a chunk line is malformed")
        size = int(match[1], 16)
        if size:
            self._data_left = size + 2
        else:
            self._in_trailers = True
