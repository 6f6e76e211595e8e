"""Heads of HTTP/2 (RFC 9113 section 8), strictly: lists of fields into requests and answers, and
back. What is refused in HTTP/1.1 is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hpack.struct import NeverIndexedHeaderTuple

from moat.core.hosts import Destination
from moat.engine.messages import (
    Headers,
    Request,
    Response,
    is_for_proxies,
    without,
)
from moat.proxy.h1 import FRAMING_BY_ANOTHER_NAME, BadMessage, RequestHead
from moat.proxy.h1_body import MAX_TRAILERS, never_in_trailers

Fields = list[tuple[bytes, bytes]]
"""A list of fields as it goes over the wire, pseudo-headers first."""

# Names are counted besides their bytes: many short ones cost more than few long ones.
MAX_FIELDS = 500

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_STATUS = re.compile(rb"[1-5][0-9][0-9]")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_ASKED = frozenset({b":method", b":scheme", b":path", b":authority"})
_ASKED_OF_PROTOCOL = _ASKED | {b":protocol"}
_ANSWERED = frozenset({b":status"})

# RFC 9113 section 8.2.2: a message with one of these is malformed.
_CONNECTION_FIELDS = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
# Where a request goes stands in its destination alone; TE is judged by who sends it on.
_NOT_IN_REQUESTS = frozenset({b"host"})
# What both ends say of a switch to WebSocket in HTTP/1.1 alone (RFC 8441 section 5.1).
_HANDSHAKE = frozenset({b"sec-websocket-key", b"sec-websocket-accept"})
_NOT_IN_SWITCHES = _NOT_IN_REQUESTS | _HANDSHAKE
_TRAILERS = [b"trailers"]
_CONTENT_LENGTH = frozenset({b"content-length"})
_NOTHING: frozenset[bytes] = frozenset()

# What may stand in the table of a compression (RFC 7541 section 7.1): whoever makes requests on
# the same connection could try guesses against it. A credential can stand in any header that was
# put in, and in a path; so these alone are indexed.
_INDEXED = frozenset(
    {
        b":authority",
        b":method",
        b":protocol",
        b":scheme",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-encoding",
        b"content-type",
        b"te",
        b"user-agent",
    }
)


@dataclass(slots=True)
class Asked:
    """A request as it stood in a block of headers.

    `method` is GET for the CONNECT that asks for `protocol`; `hosts` are `:authority`, and what a
    Host beside it says; `size` is how many bytes follow, None where that is not known.
    """

    method: str
    target: str
    hosts: list[bytes]
    headers: Headers
    protocol: str | None
    size: int | None

    @property
    def heads(self) -> list[RequestHead]:
        """What says where it goes, once for each of its hosts."""
        line = self.method, self.target
        return [RequestHead(b"2", [], {b"host": [host]}, [], *line) for host in self.hosts]

    def request(self, destination: Destination, target: str) -> Request:
        """The request that this is."""
        return Request(self.method, destination, target, self.headers, self.protocol, self.size)


@dataclass(slots=True)
class Answered:
    """An answer as it stood in a block of headers, and how many bytes of data must follow it:
    None for any number."""

    response: Response
    left: int | None


class _Sound(dict[tuple[bytes, bytes], tuple[bytes, bytes]]):
    """Fields that were found sound. Most come again and again; those that do not take no more than
    so much room."""

    def __missing__(self, pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        name, value = pair
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadMessage("a header is malformed")
        field = (name, value)
        if len(name) + len(value) <= 256:
            if len(self) >= 2048:
                self.clear()
            self[field] = field
        return field


_sound = _Sound()


def _read(
    fields: Fields, known: frozenset[bytes]
) -> tuple[dict[bytes, bytes], Fields, dict[bytes, list[bytes]]]:
    """The pseudo-headers, the others, and their values by name. Raises BadMessage."""
    if len(fields) > MAX_FIELDS:
        raise BadMessage(f"there are more than {MAX_FIELDS} headers", status=431)
    pseudo: dict[bytes, bytes] = {}
    rest: Fields = []
    values: dict[bytes, list[bytes]] = {}
    for pair in fields:
        name, value = pair
        if name[:1] != b":":
            rest.append(_sound[pair])
            values.setdefault(name, []).append(value)
        elif name not in known or name in pseudo or rest:
            raise BadMessage("a pseudo-header is unknown, repeated, or not where it belongs")
        else:
            pseudo[name] = value
    if not _CONNECTION_FIELDS.isdisjoint(values):
        raise BadMessage("a header is about the connection, which has none in HTTP/2")
    return pseudo, rest, values


def _end_to_end(fields: Fields, dropped: frozenset[bytes]) -> Fields:
    return [pair for pair in fields if pair[0] not in dropped and not is_for_proxies(pair[0])]


def _declared(values: Mapping[bytes, list[bytes]], *, ended: bool) -> int | None:
    """The bytes of data that follow, by Content-Length or because nothing does."""
    lengths = values.get(b"content-length")
    if lengths is None:
        return 0 if ended else None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadMessage("Content-Length is not one number")
    size = int(lengths[0])
    if ended and size:
        raise BadMessage("the body is shorter than its Content-Length")
    return size


def parse_request(fields: Fields, *, ended: bool) -> Asked:
    """Read a request; `ended` says that nothing follows. Raises BadMessage."""
    pseudo, rest, values = _read(fields, _ASKED_OF_PROTOCOL)
    if pseudo.get(b":method") == b"CONNECT" and b":protocol" not in pseudo:
        raise BadMessage("a CONNECT inside a connection that is in use", status=421)
    if not pseudo.keys() >= _ASKED:
        raise BadMessage("a request without :method, :scheme, :authority or :path")
    method, target = pseudo[b":method"], pseudo[b":path"]
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise BadMessage("the method or the path is malformed")
    if pseudo[b":scheme"] != b"https":
        raise BadMessage("the scheme is not https")
    if [value.lower() for value in values.get(b"te", _TRAILERS)] != _TRAILERS:
        raise BadMessage("TE is not 'trailers'")
    hosts = [pseudo[b":authority"], *values.get(b"host", ())]
    if len(hosts) > 2:
        raise BadMessage("more than one Host header")
    if not FRAMING_BY_ANOTHER_NAME.isdisjoint(values):
        raise BadMessage("a header that some servers take for what delimits the body")
    size = _declared(values, ended=ended)
    protocol, dropped = None, _NOT_IN_REQUESTS
    if b":protocol" in pseudo:
        protocol = _protocol(method, pseudo[b":protocol"], ended=ended, size=size)
        method, size, dropped = b"GET", 0, _NOT_IN_SWITCHES
    headers = _one_cookie(_end_to_end(rest, dropped))
    return Asked(method.decode(), target.decode(), hosts, headers, protocol, size)


def _protocol(method: bytes, name: bytes, *, ended: bool, size: int | None) -> str:
    """What a CONNECT asks the connection to become (RFC 8441)."""
    if method != b"CONNECT" or ended or size is not None:
        raise BadMessage("a :protocol goes with a CONNECT whose stream stays open")
    if name != b"websocket":
        # A switch to anything else could hide further requests from policy and trace.
        raise BadMessage("WebSocket is the only protocol to switch to", status=501)
    return "websocket"


def parse_response(
    fields: Fields, method: str, *, ended: bool, upgrade: str | None = None
) -> Answered:
    """Read an answer to `method`; `upgrade` is what was to be switched to. Raises BadMessage."""
    pseudo, rest, values = _read(fields, _ANSWERED)
    code = pseudo.get(b":status", b"")
    if not _STATUS.fullmatch(code) or code == b"101":
        raise BadMessage("the status is malformed")
    status = int(code)
    # RFC 9110 section 8.6: there is no body for it to be the length of.
    dropped = _CONTENT_LENGTH if status < 200 or status == 204 else _NOTHING
    headers = tuple(_end_to_end(rest, dropped))
    if status < 200:
        return Answered(Response(status, headers), None)
    if upgrade is not None and status < 300:
        if ended:
            raise BadMessage("a switch of protocols that ends at once")
        return Answered(Response(101, headers, b"Switching Protocols", upgrade), None)
    if method == "HEAD" or status in (204, 304):
        return Answered(Response(status, headers), 0)
    size = _declared(values, ended=ended)
    # What has no length of its own gets an end of its own, wherever it goes.
    body = size if b"content-length" in values else None
    return Answered(Response(status, headers, b"", None, body), size)


def parse_trailers(fields: Fields) -> Headers:
    """Read trailers. Raises BadMessage."""
    if sum([len(name) + len(value) for name, value in fields]) > MAX_TRAILERS:
        raise BadMessage(f"the trailers are larger than {MAX_TRAILERS} bytes", status=431)
    _, rest, values = _read(fields, frozenset())
    for name in values:
        if never_in_trailers(name):
            raise BadMessage(f"{name.decode()} stands in a trailer")
    return tuple(_end_to_end(rest, _NOTHING))


def _one_cookie(pairs: Fields) -> Headers:
    """The headers with every cookie in one of them (RFC 9113 section 8.2.3)."""
    crumbs = [value for name, value in pairs if name == b"cookie"]
    if len(crumbs) > 1:
        pairs = [pair for pair in pairs if pair[0] != b"cookie"]
        pairs.append((b"cookie", b"; ".join(crumbs)))
    return tuple(pairs)


def render_request(request: Request, *, switch: bool = False) -> Fields:
    """A request for an upstream; with `switch`, one that asks for its `upgrade`."""
    destination = request.destination
    headers = request.headers
    fields = [(b":method", b"CONNECT" if switch else request.method.encode())]
    if switch and request.upgrade is not None:
        fields.append((b":protocol", request.upgrade.encode()))
        headers = without(headers, _HANDSHAKE)
    fields += [
        (b":scheme", destination.scheme.encode()),
        (b":authority", destination.authority.encode()),
        (b":path", request.target.encode()),
    ]
    fields += [(name.lower(), value) for name, value in headers]
    return [_guarded(*pair) for pair in fields]


def _guarded(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, value) if name in _INDEXED else NeverIndexedHeaderTuple(name, value)


def render_response(response: Response) -> Fields:
    """An answer for a client."""
    if response.upgrade is not None:
        headers = without(response.headers, _HANDSHAKE)
        return [(b":status", b"200"), *render_trailers(headers)]
    return [(b":status", b"%d" % response.status), *render_trailers(response.headers)]


def render_trailers(headers: Headers) -> Fields:
    """Headers, or trailers, as they stand in a block."""
    return [(name.lower(), value) for name, value in headers]
