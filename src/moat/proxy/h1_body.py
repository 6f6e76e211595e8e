"""Bodies on an HTTP/1.1 wire (RFC 9112 sections 6 and 7): data out of their framing, and into it.

Nothing of the framing that came is passed on: what goes out is framed anew, so that no two
readers can take it for different things.
"""

from __future__ import annotations

import re

from moat.engine.messages import Headers, is_for_proxies
from moat.proxy.h1 import (
    BARE_LF,
    CHUNKED,
    FRAMING_FIELDS,
    NO_BODY,
    BadMessage,
    Framing,
    parse_field,
)
from moat.proxy.wire import Wire, WireClosed

MAX_CHUNK_LINE = 4096
# All the trailers of a body: they are held until their end.
MAX_TRAILERS = 16 * 1024
# Chunks that are read in one go: of tiny ones there may be many, and others wait meanwhile.
MOST_AT_ONCE = 64
LAST_CHUNK = b"0\r\n\r\n"

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
# RFC 9110 section 6.5.1: framing, routing and authentication never stand in trailers.
NEVER_TRAILERS = FRAMING_FIELDS | {
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


def never_in_trailers(name: bytes) -> bool:
    """Whether a field may not stand behind a body, by its name in lower case: also where `_`
    stands for `-`, as some servers read it."""
    return name.replace(b"_", b"-") in NEVER_TRAILERS


class LengthBody:
    """A body of a stated length. See `moat.proxy.sides.Body`."""

    __slots__ = ("_left", "_wire", "ended", "trailers")

    def __init__(self, wire: Wire, size: int) -> None:
        self._wire = wire
        self._left = size
        self.ended = size == 0
        self.trailers: Headers = ()

    def take(self) -> bytes:
        """What is there already."""
        data = self._wire.take(self._left)
        self._left -= len(data)
        self.ended = not self._left
        return data

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises WireClosed when it ends early."""
        while not self.ended:
            if data := self.take():
                return data
            if not await self._wire.fill():
                raise WireClosed("the body ended early")
        return b""


class RestBody:
    """A body that ends with the connection. See `moat.proxy.sides.Body`."""

    __slots__ = ("_wire", "ended", "trailers")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.ended = False
        self.trailers: Headers = ()

    def take(self) -> bytes:
        """What is there already."""
        return self._wire.take()

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises WireClosed when the connection was cut."""
        while not self.ended:
            if data := self._wire.take():
                return data
            if not await self._wire.fill():
                if self._wire.cut:
                    raise WireClosed("the body was cut")
                self.ended = True
        return b""


class ChunkedBody:
    """A body in chunks. See `moat.proxy.sides.Body`."""

    __slots__ = (
        "_behind",
        "_left",
        "_part",
        "_searched",
        "_trailer_size",
        "_wire",
        "ended",
        "trailers",
    )

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._left = 0  # bytes of the current chunk still to come
        # What is due: a chunk's line, its data, the end of those, or trailers.
        self._part = _SIZE
        self._searched = 0  # bytes of a line that is not over, in which no end is
        self._trailer_size = 0
        self._behind: list[tuple[bytes, bytes]] = []  # the trailers so far
        self.ended = False
        self.trailers: Headers = ()

    def take(self) -> bytes:
        """The data of what is there already. Raises BadMessage."""
        buffer = self._wire.buffer
        found: list[bytes] = []
        at = 0
        while not self.ended and at < len(buffer) and len(found) < MOST_AT_ONCE:
            if self._part == _DATA:
                data = bytes(memoryview(buffer)[at : at + self._left])
                at += len(data)
                self._left -= len(data)
                found.append(data)
                if not self._left:
                    self._part = _END
            elif self._part == _END:
                end = buffer[at : at + 2]
                if end != b"\r\n"[: len(end)]:
                    raise BadMessage("a chunk does not end where it said")
                if len(end) < 2:
                    break
                at += 2
                self._part = _SIZE
            else:
                stop = self._end_of_line(buffer, at)
                if stop < 0:
                    break
                if self._part == _SIZE:
                    self._begin_chunk(buffer, at, stop)
                else:
                    self._take_trailer(bytes(buffer[at:stop]))
                at = stop + 2
        self._wire.drop(at)
        return found[0] if len(found) == 1 else b"".join(found)

    async def read(self) -> bytes:
        """The next data; empty at the end. Raises WireClosed, or BadMessage."""
        while not self.ended:
            if data := self.take():
                return data
            if not self.ended and not await self._wire.fill():
                raise WireClosed("the body ended early")
        return b""

    def _end_of_line(self, buffer: bytearray, start: int) -> int:
        """Where the line that begins there ends; below zero where it does not yet.

        Raises BadMessage.
        """
        searched = start + self._searched
        end = buffer.find(b"\r\n", max(start, searched - 1), start + MAX_CHUNK_LINE)
        if end >= 0:
            self._searched = 0
            return end
        if len(buffer) - start >= MAX_CHUNK_LINE or BARE_LF.search(buffer, searched):
            raise BadMessage("a chunk line is malformed")
        self._searched = len(buffer) - start
        return end

    def _begin_chunk(self, buffer: bytearray, start: int, end: int) -> None:
        match = _CHUNK.fullmatch(buffer, start, end)
        if match is None:
            raise BadMessage("a chunk line is malformed")
        self._left = int(match[1], 16)
        self._part = _DATA if self._left else _TRAILERS

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.trailers = tuple(self._behind)
            self.ended = True
            return
        self._trailer_size += len(line)
        if self._trailer_size > MAX_TRAILERS:
            raise BadMessage(f"the trailers are larger than {MAX_TRAILERS} bytes", status=431)
        pair = parse_field(line)
        if never_in_trailers(name := pair[0].lower()):
            raise BadMessage(f"{pair[0].decode()} stands in a trailer")
        if not is_for_proxies(name):
            self._behind.append(pair)


_SIZE, _DATA, _END, _TRAILERS = range(4)


class NoMore:
    """A body that is none. See `moat.proxy.sides.Body`."""

    ended = True
    trailers: Headers = ()

    def take(self) -> bytes:
        """Nothing."""
        return b""

    async def read(self) -> bytes:
        """Nothing."""
        return b""


EMPTY = NoMore()
Incoming = LengthBody | RestBody | ChunkedBody | NoMore


def incoming(wire: Wire, framing: Framing) -> Incoming:
    """The body that follows a head of this framing."""
    if framing is NO_BODY:
        return EMPTY
    if framing is CHUNKED:
        return ChunkedBody(wire)
    if framing.size is None:
        return RestBody(wire)
    return LengthBody(wire, framing.size)


def chunk(data: bytes) -> bytes:
    """Data as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Headers) -> bytes:
    """The end of a body in chunks."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % pair for pair in trailers])
