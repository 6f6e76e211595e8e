"""Heads of HTTP/2: what is read, what is refused, and that nothing changes on the way."""

from __future__ import annotations

import re
import string

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from moat.core.hosts import Destination
from moat.engine.messages import HOP_BY_HOP, Request, Response
from moat.proxy.h1 import BadMessage, parse_request, parse_response, render_request, render_response
from moat.proxy.h2_heads import Fields, parse_trailers
from moat.proxy.h2_heads import parse_request as parse_asked
from moat.proxy.h2_heads import parse_response as parse_answered
from moat.proxy.h2_heads import render_request as render_asked
from moat.proxy.h2_heads import render_response as render_answered

API = Destination("https", "api.example.com", 443)
ASKED: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"api.example.com"),
    (b":path", b"/"),
]

_TOKEN = st.text(
    string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12
)
_SPECIAL = {
    b"host",
    b"cookie",
    b"te",
    b"content-length",
    b"sec-websocket-key",
    b"sec-websocket-accept",
    *HOP_BY_HOP,
}
NAMES = _TOKEN.map(str.encode).filter(lambda name: name not in _SPECIAL)
VISIBLE = st.integers(0x21, 0xFF).filter(lambda code: code != 0x7F)
VALUES = st.lists(st.one_of(VISIBLE, st.sampled_from(b" \t")), max_size=20).map(
    lambda codes: bytes(codes).strip(b" \t")
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
TARGETS = st.lists(st.integers(0x21, 0x7E), max_size=20).map(
    lambda codes: "/" + bytes(codes).decode()
)

# Anything, with pieces that mean something.
NOISE = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        b":method|:path|:scheme|:authority|:protocol|:status|host|te|cookie|content-length|"
        b"connection|GET|CONNECT|https|/|5|websocket|trailers|a b|A|\r\n|\0| x|200|101".split(b"|")
    ),
)
NOISY = st.lists(st.tuples(NOISE, NOISE), max_size=6)


@given(st.sampled_from(["GET", "POST", "x-y"]), TARGETS, FIELDS)
def test_a_request_is_the_same_on_the_other_side(method: str, target: str, fields: Fields) -> None:
    """Rendered, compressed, decompressed, read."""
    request = Request(method, API, target, tuple(fields))
    block = Encoder().encode(render_asked(request))
    asked = parse_asked(list(Decoder().decode(block, raw=True)), ended=True)
    assert asked.hosts == [b"api.example.com"]
    assert asked.request(API, asked.target) == request


@given(st.integers(200, 599), FIELDS)
def test_an_answer_is_the_same_on_the_other_side(status: int, fields: Fields) -> None:
    """As a request is."""
    block = Encoder().encode(render_answered(Response(status, tuple(fields))))
    answered = parse_answered(list(Decoder().decode(block, raw=True)), "GET", ended=True)
    assert (status, tuple(fields)) == (answered.response.status, answered.response.headers)


@given(NOISY)
def test_what_is_taken_as_a_request_is_one_in_http_1_too(fields: Fields) -> None:
    """Nothing that HTTP/2 can carry becomes two things in HTTP/1.1."""
    try:
        asked = parse_asked([*ASKED[1:], (b":method", b"GET"), *fields], ended=True)
    except BadMessage:
        return
    request = asked.request(API, asked.target)
    head = parse_request(render_request(request))
    assert (head.method, head.target) == (request.method, request.target)
    assert head.all(b"host") == [b"api.example.com"]
    sent = {name for name, _ in request.headers}
    assert not sent & {b"connection", b"transfer-encoding", b"upgrade", b"host"}


@given(NOISY)
def test_what_is_taken_as_an_answer_is_one_in_http_1_too(fields: Fields) -> None:
    """The same, the other way."""
    try:
        answered = parse_answered([(b":status", b"200"), *fields], "GET", ended=False)
    except BadMessage:
        return
    head = parse_response(render_response(answered.response))
    assert head.status == answered.response.status
    assert len(head.all(b"content-length")) + len(head.all(b"transfer-encoding")) == 1


@given(NOISY)
def test_trailers_are_sound_or_refused(fields: Fields) -> None:
    """With nothing of a head among them."""
    try:
        trailers = parse_trailers(fields)
    except BadMessage:
        return
    assert list(trailers) == fields
    for name, value in trailers:
        assert re.fullmatch(rb"[!-~]+", name)
        assert not name.startswith(b":")
        assert name == name.lower()
        assert not re.search(rb"[\0\r\n]", value)


@pytest.mark.parametrize(
    ("size", "ended", "body"),
    [(None, True, 0), (None, False, None), (b"5", False, 5), (b"0", True, 0), (b"0", False, 0)],
)
def test_the_size_of_a_request(size: bytes | None, ended: bool, body: int | None) -> None:
    """By its length, or because nothing follows."""
    more = [(b"content-length", size)] if size is not None else []
    assert parse_asked([*ASKED, *more], ended=ended).size == body


@pytest.mark.parametrize("size", [b"", b"+5", b"5,5", b"0x5", b"-1", b"5 5", b"9" * 19])
def test_a_length_that_is_none_is_refused(size: bytes) -> None:
    """In both directions."""
    field = (b"content-length", size)
    with pytest.raises(BadMessage):
        parse_asked([*ASKED, field], ended=False)
    with pytest.raises(BadMessage):
        parse_answered([(b":status", b"200"), field], "GET", ended=False)


@pytest.mark.parametrize(
    ("method", "status", "ended", "left", "body"),
    [
        ("GET", b"200", False, 5, 5),
        ("HEAD", b"200", True, 0, 0),
        ("HEAD", b"200", False, 0, 0),
        ("GET", b"304", True, 0, 0),
        ("GET", b"204", True, 0, 0),
        ("GET", b"103", False, None, 0),
    ],
)
def test_the_size_of_an_answer(
    method: str, status: bytes, ended: bool, left: int | None, body: int
) -> None:
    """What its length says, where there is a body at all."""
    fields = [(b":status", status), (b"content-length", b"5")]
    answered = parse_answered(fields, method, ended=ended)
    assert (left, body) == (answered.left, answered.response.body)


def test_the_end_of_an_answer_without_a_length_is_said_in_http_1() -> None:
    """Or its client would wait for the end of the connection."""
    answered = parse_answered([(b":status", b"200")], "GET", ended=True)
    assert (0, None) == (answered.left, answered.response.body)


def test_what_is_not_known_to_be_harmless_is_not_indexed() -> None:
    """Of whatever name, as a credential can be in any header; and the path."""
    headers = ((b"X-Whatever", b"secret"), (b"Accept", b"*/*"), (b"Cookie", b"a=b"))
    encoder = Encoder()
    encoder.encode(render_asked(Request("GET", API, "/?key=secret", headers)))
    assert {name for name, _ in encoder.header_table.dynamic_entries} == {b":authority", b"accept"}


def test_what_concerns_one_connection_stays_on_it() -> None:
    """Also the key of a handshake that only HTTP/1.1 makes."""
    key = (b"sec-websocket-key", b"x")
    fields = [*ASKED, (b"proxy-authorization", b"x"), (b"te", b"trailers"), key]
    assert parse_asked(fields, ended=True).headers == ((b"te", b"trailers"), key)
    switch = [(b":protocol", b"websocket"), (b":method", b"CONNECT"), *ASKED[1:], key]
    asked = parse_asked(switch, ended=False)
    assert ("GET", "websocket", ()) == (asked.method, asked.protocol, asked.headers)
    request = Request("GET", API, "/", (key,), upgrade="websocket")
    assert key not in render_asked(request, switch=True)
    assert (b":protocol", b"websocket") in render_asked(request, switch=True)


@pytest.mark.attack
@pytest.mark.parametrize("name", [b"proxy", b"proxy-features", b"proxy-authorization", b"proxy_x"])
def test_what_is_for_proxies_goes_no_further(name: bytes) -> None:
    asked = parse_asked([*ASKED, (name, b"x"), (b"proxyless", b"1")], ended=True)
    assert ((b"proxyless", b"1"),) == asked.headers
    answered = parse_answered([(b":status", b"200"), (name, b"x")], "GET", ended=True)
    assert () == answered.response.headers


@pytest.mark.attack
def test_what_is_for_proxies_stays_behind_in_trailers_too() -> None:
    """But for credentials, which never stand there."""
    fields = [(b"proxy-status", b"x"), (b"proxy", b"x"), (b"x", b"y")]
    assert ((b"x", b"y"),) == parse_trailers(fields)
    with pytest.raises(BadMessage):
        parse_trailers([(b"proxy-authorization", b"x")])


@pytest.mark.attack
@pytest.mark.parametrize("name", [b"content_length", b"transfer_encoding"])
def test_framing_has_no_second_name(name: bytes) -> None:
    parse_asked([*ASKED, (name + b"s", b"0")], ended=True)
    with pytest.raises(BadMessage):
        parse_asked([*ASKED, (name, b"0")], ended=True)
    with pytest.raises(BadMessage):
        parse_trailers([(name, b"0")])


@pytest.mark.parametrize(
    ("status", "headers"), [(b"204", ()), (b"103", ()), (b"304", ((b"content-length", b"5"),))]
)
def test_what_has_no_body_states_no_length(
    status: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    fields = [(b":status", status), (b"content-length", b"5")]
    assert headers == parse_answered(fields, "GET", ended=True).response.headers
