"""HTTP/1.1 on the wire, strictly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.core.hosts import Destination
from moat.engine.messages import Request, Response
from moat.proxy import h1
from moat.proxy.h1 import (
    MAX_HEAD,
    NO_BODY,
    BadMessage,
    Chunked,
    Framing,
    Length,
    UntilClose,
)
from moat.proxy.wire import Wire, WireClosed
from proxy.noise import NOISE

HEAD = b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nX-A:\t v w \r\nEmpty:\r\n\r\n"


def wire_with(pieces: Iterable[bytes]) -> Wire:
    """A wire on which these pieces come, each when the one before was read; then it ends."""
    wire, rest = Wire(), list(pieces)

    async def fill() -> bool:
        if not rest:
            return False
        wire.data_received(rest.pop(0))
        return True

    wire.fill = fill
    return wire


def read(pieces: Iterable[bytes]) -> tuple[bytes | None, bytes]:
    """The head that comes in these pieces, and what is left over."""
    wire = wire_with(pieces)
    return asyncio.run(h1.read_head(wire)), bytes(wire.buffer)


def test_a_head_is_read_however_it_is_split() -> None:
    """Cut in two at every place, and byte by byte: the same head, and the same rest."""
    whole = HEAD + b"rest"
    for cut in range(len(whole) + 1):
        head, rest = read([whole[:cut], whole[cut:]])
        assert head == HEAD
        assert b"rest".startswith(rest)
    assert read([whole[i : i + 1] for i in range(len(whole))]) == (HEAD, b"")


@pytest.mark.parametrize("end", [b"\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
def test_a_bare_line_feed_is_refused_however_it_is_split(end: bytes) -> None:
    """Wherever the pieces end, a line does not end in LF alone."""
    whole = b"GET / HTTP/1.1\r\nHost: a" + end
    for cut in range(len(whole)):
        with pytest.raises(BadMessage):
            read([whole[:cut], whole[cut:]])


def test_a_connection_that_ends_before_a_head_is_told_from_one_inside() -> None:
    """None at the end between requests, WireClosed in the middle of one."""
    assert read([]) == (None, b"")
    with pytest.raises(WireClosed):
        read([HEAD[:-1]])


@pytest.mark.parametrize("tail", [b"", b"\r\n\r\n"])
def test_a_head_too_large_is_refused(tail: bytes) -> None:
    """Whether or not its end is in sight; one that just fits is read."""
    fits = b"GET / HTTP/1.1\r\nX: ".ljust(MAX_HEAD, b"a") + b"\r\n\r\n"
    assert read([fits]) == (fits, b"")
    with pytest.raises(BadMessage) as caught:
        read([b"GET / HTTP/1.1\r\nX: ".ljust(MAX_HEAD + 1, b"a") + tail])
    assert caught.value.status == 431


def test_reading_a_head_byte_by_byte_takes_linear_time() -> None:
    """What was searched once is not searched again."""
    pieces = [b"GET / HTTP/1.1\r\n" + b"X: "] + [b"a"] * 30_000 + [b"\r\n\r\n"]
    began = time.process_time()
    read(pieces)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "line", [b"a:" + b" " * 60_000 + b"\0", b"a:" + b" x" * 30_000 + b"\0", b"a" * 60_000 + b"\0"]
)
def test_a_hostile_header_line_takes_linear_time(line: bytes) -> None:
    """No line makes an expression try every way of splitting it."""
    began = time.process_time()
    with pytest.raises(BadMessage):
        h1.parse_request(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")
    assert time.process_time() - began < 0.5


def test_a_request_head_comes_apart() -> None:
    """Method, target, version, and fields with their spelling, blanks around values cut."""
    head = h1.parse_request(HEAD)
    assert ("POST", "/a?b", b"1.1") == (head.method, head.target, head.version)
    assert head.headers == ((b"Host", b"a.example"), (b"X-A", b"v w"), (b"Empty", b""))


BAD_LINES = [
    b"",
    b"GET",
    b"GET /",
    b"GET  / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b" GET / HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET\t/\tHTTP/1.1",
    b"GET / HTTP/2.0",
    b"GET / HTTP/1.10",
    b"GET / http/1.1",
    b"GET / HTTP/0.9",
    b"GET /a b HTTP/1.1",
    b"GET /\x00 HTTP/1.1",
    b"GET /\x7f HTTP/1.1",
    b"GET /\xc3\xbc HTTP/1.1",
    b"GET /\rX: 1 HTTP/1.1",
    b"GE T / HTTP/1.1",
    b"GET\x00 / HTTP/1.1",
    b"GET:X / HTTP/1.1",
    b"G\xc9T / HTTP/1.1",
    b"PRI * HTTP/2.0",
]

BAD_FIELDS = [
    b"X",
    b": v",
    b"X : v",
    b"X\t: v",
    b" X: v",
    b"X Y: v",
    b"X: a\0b",
    b"X: a\rb",
    b"X: a\r",
    b"X: a\nb",
    b"X: a\x0bb",
    b"X: a\x7f",
    b"X\xff: v",
    b"X(: v",
    b"X: a\r\n b",  # obs-fold
    b"X: a\r\n\tb",
    b"\r",
    b"X@: v",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_malformed_request_line_is_refused(line: bytes) -> None:
    """One method, one target, one version, one space between them."""
    with pytest.raises(BadMessage):
        h1.parse_request(line + b"\r\nHost: a\r\n\r\n")


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_a_malformed_field_is_refused(field: bytes) -> None:
    """In requests and in responses alike."""
    with pytest.raises(BadMessage):
        h1.parse_request(b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n")
    with pytest.raises(BadMessage):
        h1.parse_response(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (200, b"OK", b"HTTP/1.1 200 OK"),
        (200, b"", b"HTTP/1.1 200 "),
        (200, b"", b"HTTP/1.1 200"),
        (404, b"Nicht da \xe4", b"HTTP/1.0 404 Nicht da \xe4"),
    ],
)
def test_a_status_line_comes_apart(status: int, reason: bytes, line: bytes) -> None:
    """The reason may be empty, or missing with its space."""
    head = h1.parse_response(line + b"\r\n\r\n")
    assert (status, reason) == (head.status, head.reason)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 600 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/2 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200 O\rK",
        b"ICY 200 OK",
        b" HTTP/1.1 200 OK",
    ],
)
def test_a_malformed_status_line_is_refused(line: bytes) -> None:
    """What is no HTTP/1 is no answer."""
    with pytest.raises(BadMessage):
        h1.parse_response(line + b"\r\n\r\n")


def request_framing(*fields: bytes, version: bytes = b"1.1") -> Framing:
    lines = b"".join(field + b"\r\n" for field in fields)
    return h1.request_framing(
        h1.parse_request(b"POST / HTTP/" + version + b"\r\n" + lines + b"\r\n")
    )


@pytest.mark.parametrize(
    ("framing", "fields"),
    [
        (NO_BODY, ()),
        (NO_BODY, (b"Content-Length: 0",)),
        (Length(5), (b"Content-Length: 5",)),
        (Length(5), (b"CONTENT-LENGTH:5 ",)),
        (Chunked(), (b"Transfer-Encoding: chunked",)),
        (Chunked(), (b"transfer-encoding: CHUNKED",)),
        (Length(5), (b"Content-Length: 5", b"Connection: close, x-other")),
    ],
)
def test_a_body_is_delimited_as_declared(framing: Framing, fields: tuple[bytes, ...]) -> None:
    """By its length or by chunks; by nothing, there is none."""
    assert framing == request_framing(*fields)


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 6"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: +5",),
        (b"Content-Length: -5",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 5_0",),
        (b"Content-Length: 5 0",),
        (b"Content-Length: 5.0",),
        (b"Content-Length: \xb2",),
        (b"Content-Length:",),
        (b"Content-Length: 9999999999999999999",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: xchunked",),
        (b'Transfer-Encoding: "chunked"',),
        (b"Transfer-Encoding: chunked;a=b",),
        (b"Transfer-Encoding:",),
        (b"Content-Length: 5", b"Connection: content-length"),
        (b"Content-Length: 5", b"Connection: close, CONTENT-LENGTH"),
        (b"Transfer-Encoding: chunked", b"Connection: Transfer-Encoding"),
    ],
)
def test_a_body_that_two_readers_could_delimit_differently_is_refused(
    fields: tuple[bytes, ...],
) -> None:
    """Two declarations, lists, odd numbers, and a Connection header that would hide one."""
    with pytest.raises(BadMessage):
        request_framing(*fields)


def test_chunks_do_not_exist_in_http_1_0() -> None:
    """A reader of 1.0 would take them for the body itself."""
    assert request_framing(b"Content-Length: 1", version=b"1.0") == Length(1)
    with pytest.raises(BadMessage):
        request_framing(b"Transfer-Encoding: chunked", version=b"1.0")


@pytest.mark.parametrize(
    ("framing", "status", "method", "field"),
    [
        (Length(5), 200, "GET", b"Content-Length: 5"),
        (Length(0), 200, "GET", b"Content-Length: 0"),
        (Chunked(), 200, "GET", b"Transfer-Encoding: chunked"),
        (UntilClose(), 200, "GET", b"X: y"),
        (NO_BODY, 200, "HEAD", b"Content-Length: 5"),
        (NO_BODY, 304, "GET", b"Content-Length: 5"),
        (NO_BODY, 204, "GET", b"X: y"),
        (NO_BODY, 101, "GET", b"X: y"),
    ],
)
def test_an_answer_is_delimited_by_method_and_status_too(
    framing: Framing, status: int, method: str, field: bytes
) -> None:
    """RFC 9112 section 6.3: HEAD, 1xx, 204 and 304 have no body whatever they declare."""
    head = h1.parse_response(b"HTTP/1.1 %d X\r\n" % status + field + b"\r\n\r\n")
    assert framing == h1.response_framing(head, method)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        ("websocket", b"Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"),
        (None, b"Upgrade: websocket\r\n"),
        (None, b"Connection: Upgrade\r\n"),
        (None, b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
        (None, b"Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n"),
        (None, b"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n"),
    ],
)
def test_only_a_websocket_is_switched_to(expected: str | None, fields: bytes) -> None:
    """Another protocol could carry requests that policy and trace never see."""
    assert expected == h1.parse_request(b"GET / HTTP/1.1\r\n" + fields + b"\r\n").upgrade


def test_heads_are_written_anew() -> None:
    """Host from the destination, one connection's headers left out, the rest as it came."""
    request = Request(
        "GET",
        Destination("https", "a.example", 8443),
        "/p",
        ((b"X-A", b"1"),),
        "websocket",
    )
    assert h1.render_request(request) == (
        b"GET /p HTTP/1.1\r\nHost: a.example:8443\r\nX-A: 1\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    endless = Request(
        "PUT", Destination("http", "a.example", 80), "/", ((b"X-A", b"1"),), body=None
    )
    assert h1.render_request(endless) == (
        b"PUT / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    response = Response(200, ((b"X-A", b"1"),), b"OK")
    assert h1.render_response(response) == b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n"
    assert h1.render_response(response, close=True) == (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close\r\n\r\n"
    )


# anything at all


@given(st.lists(NOISE, max_size=30).map(b"".join))
def test_only_bad_message_escapes(noise: bytes) -> None:
    """Whatever comes in, the parsers give an answer or raise BadMessage."""
    for parse, frame in (
        (h1.parse_request, h1.request_framing),
        (h1.parse_response, lambda head: h1.response_framing(head, "GET")),
    ):
        for head in (noise, noise + b"\r\n\r\n"):
            try:
                frame(parse(head))
            except BadMessage:
                pass


@given(st.lists(NOISE, max_size=30))
def test_only_two_errors_come_of_reading_a_head(pieces: list[bytes]) -> None:
    """BadMessage or WireClosed; and what is read ends where a head ends."""
    try:
        head, _ = read(piece for piece in pieces if piece)
    except (BadMessage, WireClosed):
        return
    assert head is None or head.endswith(b"\r\n\r\n")


@given(
    st.from_regex(rb"[A-Z]{1,8}", fullmatch=True),
    st.lists(
        st.tuples(
            st.from_regex(rb"[A-Za-z-]{1,10}", fullmatch=True),
            st.from_regex(rb"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True),
        )
    ),
)
def test_what_is_rendered_is_read_back(method: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """A head written by us says what it was made of."""
    skipped = (b"host",)
    headers = tuple(pair for pair in fields if pair[0].lower() not in skipped)
    request = Request(method.decode(), Destination("https", "a.example", 443), "/", headers)
    head = h1.parse_request(h1.render_request(request))
    assert head.method == method.decode()
    assert head.headers == ((b"Host", b"a.example"), *headers)


HEADERS = (
    (b"Accept", b"a, B"),
    (b"X-Hop", b"1"),
    (b"ACCEPT", b",c ,"),
    (b"X-Other", b"2"),
)


def end_to_end(*more: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """What is passed on of these fields, behind the usual ones."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in (*HEADERS, *more))
    return h1.parse_response(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n").end_to_end()


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"TE",
        b"Transfer-Encoding",
        b"Upgrade",
    ],
)
def test_what_concerns_one_connection_is_not_passed_on(name: bytes) -> None:
    """Hop-by-hop headers go, and nothing else does."""
    assert end_to_end((name, b"x")) == HEADERS


def test_what_the_connection_header_lists_goes_with_it() -> None:
    """A header named in Connection is about one connection only."""
    listed = end_to_end((b"connection", b"close, x-HOP"), (b"Connection", b"other"))
    assert listed == (HEADERS[0], HEADERS[2], HEADERS[3])
