"""HTTP/1.1 on the wire (RFC 9112), strictly: what two readers could read differently is refused.

Heads are parsed once and written anew; bodies are checked for their framing and passed on as
the bytes that came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from moat.engine.messages import Headers, Request, Response, tokens
from moat.proxy.wire import Wire, WireClosed

# A head of more is a mistake or an attack; browsers and servers stop between 8 and 80 KiB.
MAX_HEAD = 64 * 1024

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/(1\.[01])")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
# The blanks around a value are cut off afterwards: an expression that does it takes cubic time.
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)")
BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")

# What delimits a body cannot be about one connection only, whatever the Connection header says.
FRAMING_FIELDS = frozenset({b"content-length", b"transfer-encoding"})
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
class Head:
    """What both heads have: fields as they came, and their values by name in lower case."""

    version: bytes
    headers: Headers
    values: Mapping[bytes, list[bytes]]

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a header; `name` in lower case."""
        return self.values.get(name, [])

    @property
    def connection(self) -> list[bytes]:
        """What is said of this connection alone, in lower case."""
        return tokens(self.all(b"connection"))

    @property
    def keep_alive(self) -> bool:
        """Whether the connection is to be used again."""
        return self.version == b"1.1" and b"close" not in self.connection


@dataclass(frozen=True, slots=True)
class RequestHead(Head):
    """A request head as it stood on the wire."""

    method: str
    target: str

    @property
    def upgrade(self) -> str | None:
        """The protocol asked for, in lower case, where it is one that is passed on."""
        asked = [value.lower() for value in self.all(b"upgrade")]
        if asked and asked[0] in _UPGRADES and b"upgrade" in self.connection:
            return asked[0].decode()
        return None


@dataclass(frozen=True, slots=True)
class ResponseHead(Head):
    """A response head as it stood on the wire."""

    status: int
    reason: bytes


def find_head(wire: Wire, searched: int = 0) -> bytes | None:
    """Take a head that is there already, its empty line included; None if its end has not come.

    What lies before `searched` has been looked at. Raises BadMessage.
    """
    end = wire.buffer.find(b"\r\n\r\n", max(0, searched - 3))
    if 0 <= end <= MAX_HEAD:
        return wire.take(end + 4)
    if end > MAX_HEAD or len(wire.buffer) > MAX_HEAD:
        raise BadMessage(f"the head is larger than {MAX_HEAD} bytes", status=431)
    if BARE_LF.search(wire.buffer, searched):
        raise BadMessage("a line ends in a bare LF")
    return None


async def read_head(wire: Wire) -> bytes | None:
    """Read up to the empty line; None when the connection ends before its first byte.

    Raises BadMessage, or WireClosed when it ends in the middle.
    """
    searched = 0
    while True:
        head = find_head(wire, searched)
        if head is not None:
            return head
        searched = len(wire.buffer)
        if not await wire.fill():
            if wire.buffer:
                raise WireClosed("the connection ended inside a head")
            return None


def parse_field(line: bytes) -> tuple[bytes, bytes]:
    """Read one header line. Raises BadMessage."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise BadMessage("a header line is malformed")
    return match[1], match[2].strip(b" \t")


def _parse_fields(lines: list[bytes]) -> tuple[Headers, dict[bytes, list[bytes]]]:
    headers = tuple([parse_field(line) for line in lines])
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    return headers, values


def parse_request(head: bytes) -> RequestHead:
    """Read a request head, its empty line included. Raises BadMessage."""
    first, *rest = head[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise BadMessage("the request line is malformed")
    return RequestHead(match[3], *_parse_fields(rest), match[1].decode(), match[2].decode())


def parse_response(head: bytes) -> ResponseHead:
    """Read a response head, its empty line included. Raises BadMessage."""
    first, *rest = head[:-4].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise BadMessage("the status line is malformed")
    return ResponseHead(match[1], *_parse_fields(rest), int(match[2]), match[3] or b"")


def _declared(head: Head) -> Framing | None:
    """The framing a head declares (RFC 9112 section 6.3), None where it declares none."""
    encodings, lengths = head.all(b"transfer-encoding"), head.all(b"content-length")
    if not FRAMING_FIELDS.isdisjoint(head.connection):
        raise BadMessage("Connection names what delimits the body")
    if encodings:
        if lengths:
            raise BadMessage("both Transfer-Encoding and Content-Length")
        if head.version != b"1.1" or [item.lower() for item in encodings] != [b"chunked"]:
            raise BadMessage("a Transfer-Encoding other than one 'chunked'")
        return Chunked()
    if lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise BadMessage("Content-Length is not one number")
        return Length(int(lengths[0]))
    return None


def request_framing(head: RequestHead) -> Framing:
    """How the body of a request is delimited. Raises BadMessage."""
    declared = _declared(head)
    if declared is None or declared == Length(0):
        return NO_BODY
    return declared


def response_framing(head: ResponseHead, method: str) -> Framing:
    """How the body of a response to `method` is delimited. Raises BadMessage."""
    declared = _declared(head)
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return NO_BODY
    return UntilClose() if declared is None else declared


def _render(first: bytes, headers: Headers) -> bytes:
    lines = [first, *(name + b": " + value for name, value in headers), b"", b""]
    return b"\r\n".join(lines)


def render_request(request: Request) -> bytes:
    """A request head for the upstream, its Host made from the destination."""
    fields = [(b"Host", request.destination.authority.encode())]
    fields += [pair for pair in request.headers if pair[0].lower() != b"host"]
    if request.upgrade is not None:
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", request.upgrade.encode("latin-1"))]
    return _render(f"{request.method} {request.target} HTTP/1.1".encode(), tuple(fields))


def render_response(response: Response, *, close: bool = False) -> bytes:
    """A response head for the client."""
    fields = list(response.headers)
    if response.upgrade is not None:
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", response.upgrade.encode("latin-1"))]
    elif close:
        fields.append((b"Connection", b"close"))
    first = b"HTTP/1.1 %d %b" % (response.status, response.reason)
    return _render(first, tuple(fields))
