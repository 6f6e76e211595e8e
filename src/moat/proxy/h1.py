"""HTTP/1.1 on the wire (RFC 9112), strictly: what two readers could read differently is refused.

Heads are parsed once and written anew; bodies are checked for their framing and passed on as
the bytes that came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from moat.engine.messages import Headers, Request, Response, end_to_end, get, get_all, tokens
from moat.proxy.wire import Wire, WireClosed

# A head of more is a mistake or an attack; browsers and servers stop between 8 and 80 KiB.
MAX_HEAD = 64 * 1024
MAX_CHUNK_LINE = 4096

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/(1\.[01])")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
# The blanks around a value are cut off afterwards: an expression that does it takes cubic time.
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")

# What delimits a body cannot be about one connection only, whatever the Connection header says.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
# RFC 9110 section 6.5.1: framing, routing and authentication never stand in trailers.
_NEVER_TRAILERS = _FRAMING | {
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
# A switch to anything else could hide further requests from policy and trace.
_UPGRADES = frozenset({b"websocket"})


class BadMessage(Exception):
    """The other side does not speak HTTP/1.1 as it must; `status` is what to answer a client."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class NoBody:
    """Nothing follows the head."""


@dataclass(frozen=True, slots=True)
class Length:
    """A body of this many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """A body in chunks, perhaps with trailers."""


@dataclass(frozen=True, slots=True)
class UntilClose:
    """A body that ends with the connection (responses only)."""


Framing = NoBody | Length | Chunked | UntilClose
NO_BODY = NoBody()


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request head as it stood on the wire."""

    method: str
    target: str
    version: bytes
    headers: Headers

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to go on using the connection."""
        return self.version == b"1.1" and b"close" not in tokens(self.headers, b"connection")

    @property
    def upgrade(self) -> str | None:
        """The protocol asked for, in lower case, where it is one that is passed on."""
        value = get(self.headers, b"upgrade")
        if value is None or b"upgrade" not in tokens(self.headers, b"connection"):
            return None
        return value.decode().lower() if value.lower() in _UPGRADES else None


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response head as it stood on the wire."""

    version: bytes
    status: int
    reason: bytes
    headers: Headers

    @property
    def keep_alive(self) -> bool:
        """Whether the server keeps the connection open."""
        return self.version == b"1.1" and b"close" not in tokens(self.headers, b"connection")


async def read_head(wire: Wire) -> bytes | None:
    """Read up to the empty line; None when the connection ends before its first byte.

    Raises BadMessage, or WireClosed when it ends in the middle.
    """
    searched = 0
    while True:
        end = wire.buffer.find(b"\r\n\r\n", max(0, searched - 3))
        if 0 <= end <= MAX_HEAD:
            return wire.take(end + 4)
        if end > MAX_HEAD or len(wire.buffer) > MAX_HEAD:
            raise BadMessage(f"the head is larger than {MAX_HEAD} bytes", status=431)
        if _BARE_LF.search(wire.buffer, searched):
            raise BadMessage("a line ends in a bare LF")
        searched = len(wire.buffer)
        if not await wire.fill():
            if wire.buffer:
                raise WireClosed("the connection ended inside a head")
            return None


def _parse_fields(lines: list[bytes]) -> Headers:
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadMessage("a header line is malformed")
        fields.append((match[1], match[2].strip(b" \t")))
    return tuple(fields)


def parse_request(head: bytes) -> RequestHead:
    """Read a request head, its empty line included. Raises BadMessage."""
    first, *rest = head[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise BadMessage("the request line is malformed")
    return RequestHead(match[1].decode(), match[2].decode(), match[3], _parse_fields(rest))


def parse_response(head: bytes) -> ResponseHead:
    """Read a response head, its empty line included. Raises BadMessage."""
    first, *rest = head[:-4].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise BadMessage("the status line is malformed")
    return ResponseHead(match[1], int(match[2]), match[3] or b"", _parse_fields(rest))


def _declared(headers: Headers, version: bytes) -> Framing | None:
    """The framing the headers declare (RFC 9112 section 6.3), None where they declare none."""
    encodings = get_all(headers, b"transfer-encoding")
    lengths = get_all(headers, b"content-length")
    if not _FRAMING.isdisjoint(tokens(headers, b"connection")):
        raise BadMessage("Connection names what delimits the body")
    if encodings:
        if lengths:
            raise BadMessage("both Transfer-Encoding and Content-Length")
        if version != b"1.1" or [item.lower() for item in encodings] != [b"chunked"]:
            raise BadMessage("a Transfer-Encoding other than one 'chunked'")
        return Chunked()
    if lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise BadMessage("Content-Length is not one number")
        return Length(int(lengths[0]))
    return None


def request_framing(head: RequestHead) -> Framing:
    """How the body of a request is delimited. Raises BadMessage."""
    declared = _declared(head.headers, head.version)
    if declared is None or declared == Length(0):
        return NO_BODY
    return declared


def response_framing(head: ResponseHead, method: str) -> Framing:
    """How the body of a response to `method` is delimited. Raises BadMessage."""
    declared = _declared(head.headers, head.version)
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return NO_BODY
    return UntilClose() if declared is None else declared


def _render(first: bytes, headers: Headers) -> bytes:
    lines = [first, *(name + b": " + value for name, value in headers), b"", b""]
    return b"\r\n".join(lines)


def render_request(request: Request) -> bytes:
    """A request head for the upstream, its Host made from the destination."""
    fields = [(b"Host", request.destination.authority.encode())]
    fields += [pair for pair in end_to_end(request.headers) if pair[0].lower() != b"host"]
    if request.upgrade is not None:
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", request.upgrade.encode("latin-1"))]
    return _render(f"{request.method} {request.target} HTTP/1.1".encode(), tuple(fields))


def render_response(response: Response, *, close: bool = False) -> bytes:
    """A response head for the client."""
    fields = list(end_to_end(response.headers))
    if response.upgrade is not None:
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", response.upgrade.encode("latin-1"))]
    elif close:
        fields.append((b"Connection", b"close"))
    first = b"HTTP/1.1 %d %b" % (response.status, response.reason)
    return _render(first, tuple(fields))


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
                if len(data) - position >= MAX_CHUNK_LINE or _BARE_LF.search(data, position):
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
            ((name, _),) = _parse_fields([line])
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
