"""HTTP/1.1 on the wire (RFC 9112), strictly: what two readers could read differently is refused.

Heads are parsed once and written anew; bodies stand in `h1_body`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from moat.core.hosts import Destination
from moat.engine.messages import (
    HOP_BY_HOP,
    Fields,
    Headers,
    Request,
    Response,
    block,
    is_for_proxies,
    tokens,
    without,
)
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
# What servers that make variables of headers (RFC 3875 section 4.1.18) would take for those.
FRAMING_BY_ANOTHER_NAME = frozenset({b"content_length", b"transfer_encoding"})
_CONTENT_LENGTH = frozenset({b"content-length"})
# A switch to anything else could hide further requests from policy and trace.
_UPGRADES = frozenset({b"websocket"})
# Where a request goes stands in its destination alone.
_NOT_IN_REQUESTS = HOP_BY_HOP | {b"host"}
# What Connection lists of itself, besides names of headers.
_USUAL = frozenset({b"close", b"keep-alive", b"upgrade"})

# All lines of a head but the first, each with the line end before it.
_LINES = re.compile(rb"(?:\r\n" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+)*+")
# What says something of the message itself, or of one connection.
_SAID = re.compile(
    rb"\r\n(connection|content[-_]length|expect|host|transfer[-_]encoding|upgrade"
    rb"|keep-alive|te|proxy(?:[-_][^:]*)?):[ \t]*([^\r]*)",
    re.IGNORECASE,
)


class BadMessage(Exception):
    """The other side does not speak HTTP/1.1 as it must; `status` is what to answer a client."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class NoBody:
    """Nothing follows the head."""

    size: ClassVar[int | None] = 0


@dataclass(frozen=True, slots=True)
class Length:
    """A body of this many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """A body in chunks, perhaps with trailers."""

    size: ClassVar[int | None] = None


@dataclass(frozen=True, slots=True)
class UntilClose:
    """A body that ends with the connection (responses only)."""

    size: ClassVar[int | None] = None


Framing = NoBody | Length | Chunked | UntilClose
NO_BODY = NoBody()
CHUNKED = Chunked()
UNTIL_CLOSE = UntilClose()


@dataclass(slots=True)
class Head:
    """What both heads have: the fields as they came, and the values of those that say something
    of the message, by their name in lower case."""

    version: bytes
    headers: Headers
    said: dict[bytes, list[bytes]]
    connection: list[bytes]
    """What is said of this connection alone, in lower case."""

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a header that says something of the message; `name` in lower case."""
        return self.said.get(name, [])

    @property
    def keep_alive(self) -> bool:
        """Whether the connection is to be used again."""
        return self.version == b"1.1" and b"close" not in self.connection

    def end_to_end(self, dropped: frozenset[bytes] = HOP_BY_HOP) -> Headers:
        """The fields less everything that concerns one connection only."""
        listed = [name for name in self.said if is_for_proxies(name)]
        listed += [name for name in self.connection if name not in _USUAL]
        if listed:
            dropped = dropped.union(listed)
            return tuple([pair for pair in self.headers if pair[0].lower() not in dropped])
        if dropped.isdisjoint(self.said):
            return self.headers
        return without(self.headers, dropped)


@dataclass(slots=True)
class RequestHead(Head):
    """A request head as it stood on the wire."""

    method: str
    target: str

    @property
    def upgrade(self) -> str | None:
        """The protocol asked for, in lower case, where it is one that is passed on."""
        asked = self.said.get(b"upgrade")
        if asked and asked[0].lower() in _UPGRADES and b"upgrade" in self.connection:
            return asked[0].lower().decode()
        return None

    def request(self, destination: Destination, target: str, framing: Framing) -> Request:
        """The request that this is the head of."""
        # Before a switch of protocols the body would have to be over, and nobody sends one.
        upgrade = self.upgrade if framing is NO_BODY else None
        headers = self.end_to_end(_NOT_IN_REQUESTS)
        return Request(self.method, destination, target, headers, upgrade, framing.size)


@dataclass(slots=True)
class ResponseHead(Head):
    """A response head as it stood on the wire."""

    status: int
    reason: bytes

    def response(self, framing: Framing, upgrade: str | None = None) -> Response:
        """The response that this is the head of; `upgrade` is what it switches to."""
        headers = self.end_to_end()
        # RFC 9110 section 8.6: there is no body for it to be the length of.
        if (self.status < 200 or self.status == 204) and b"content-length" in self.said:
            headers = without(headers, _CONTENT_LENGTH)
        return Response(self.status, headers, self.reason, upgrade, framing.size)


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


def _parse_lines(head: bytes, start: int) -> tuple[Headers, dict[bytes, list[bytes]], list[bytes]]:
    """The fields of a head whose first line ends at `start`. Raises BadMessage."""
    if _LINES.fullmatch(head, start, len(head) - 4) is None:
        raise BadMessage("a header line is malformed")
    raw = head[start:-4]
    said: dict[bytes, list[bytes]] = {}
    for name, value in _SAID.findall(raw):
        said.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    connection = said.get(b"connection")
    return Fields(raw), said, tokens(connection) if connection else []


def parse_request(head: bytes) -> RequestHead:
    """Read a request head, its empty line included. Raises BadMessage."""
    end = max(0, head.find(b"\r\n"))
    match = _REQUEST_LINE.fullmatch(head, 0, end)
    if match is None:
        raise BadMessage("the request line is malformed")
    method, target, version = match.groups()
    return RequestHead(version, *_parse_lines(head, end), method.decode(), target.decode())


def parse_response(head: bytes) -> ResponseHead:
    """Read a response head, its empty line included. Raises BadMessage."""
    end = max(0, head.find(b"\r\n"))
    match = _STATUS_LINE.fullmatch(head, 0, end)
    if match is None:
        raise BadMessage("the status line is malformed")
    version, status, reason = match.groups()
    return ResponseHead(version, *_parse_lines(head, end), int(status), reason or b"")


def _declared(head: Head) -> Framing | None:
    """The framing a head declares (RFC 9112 section 6.3), None where it declares none."""
    said = head.said
    encodings, lengths = said.get(b"transfer-encoding"), said.get(b"content-length")
    if head.connection and not FRAMING_FIELDS.isdisjoint(head.connection):
        raise BadMessage("Connection names what delimits the body")
    if encodings:
        if lengths:
            raise BadMessage("both Transfer-Encoding and Content-Length")
        if head.version != b"1.1" or [item.lower() for item in encodings] != [b"chunked"]:
            raise BadMessage("a Transfer-Encoding other than one 'chunked'")
        return CHUNKED
    if lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise BadMessage("Content-Length is not one number")
        return Length(int(lengths[0]))
    return None


def request_framing(head: RequestHead) -> Framing:
    """How the body of a request is delimited. Raises BadMessage."""
    declared = _declared(head)
    if not FRAMING_BY_ANOTHER_NAME.isdisjoint(head.said):
        raise BadMessage("a header that some servers take for what delimits the body")
    return NO_BODY if declared is None or declared.size == 0 else declared


def response_framing(head: ResponseHead, method: str) -> Framing:
    """How the body of a response to `method` is delimited. Raises BadMessage."""
    declared = _declared(head)
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return NO_BODY
    return UNTIL_CLOSE if declared is None else declared


def _framing_lines(upgrade: str | None, body: int | None) -> bytes:
    if upgrade is not None:
        return b"\r\nConnection: Upgrade\r\nUpgrade: " + upgrade.encode("latin-1")
    return b"\r\nTransfer-Encoding: chunked" if body is None else b""


def render_request(request: Request) -> bytes:
    """A request head for the upstream, its Host made from the destination."""
    first = f"{request.method} {request.target} HTTP/1.1\r\nHost: {request.destination.authority}"
    framing = _framing_lines(request.upgrade, request.body)
    return b"%b%b%b\r\n\r\n" % (first.encode(), block(request.headers), framing)


def render_response(response: Response, *, close: bool = False) -> bytes:
    """A response head for the client."""
    framing = _framing_lines(response.upgrade, response.body)
    if close and response.upgrade is None:
        framing += b"\r\nConnection: close"
    status, headers, reason, *_ = response
    return b"HTTP/1.1 %d %b%b%b\r\n\r\n" % (status, reason, block(headers), framing)
