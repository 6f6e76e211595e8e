"""One exchange over HTTP/1.1: credentials, early answers, records, and clients that go away."""

from __future__ import annotations

import logging
import ssl
import threading

import pytest

from moat.core.hosts import HostPattern
from moat.engine.exchange import Entry
from moat.engine.inject import Injection
from proxy.support import API, KEY, Stream, World, end_tls, eventually, get, post, reply

# credentials


@pytest.mark.parametrize(
    "brought",
    [
        "",
        "Authorization: Bearer placeholder\r\n",
        "authorization: a\r\nAUTHORIZATION: b\r\n",
        "Authorization:\r\n",
        "Connection: authorization\r\nAuthorization: a\r\n",
        "Connection: close, Authorization\r\n",
        "Connection: host\r\n",
        "Cookie: session=mine\r\nX-Api-Key: mine\r\nx_api_key: mine\r\n",
        "Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n",
    ],
)
def test_the_credential_goes_to_its_host_and_only_it(world: World, brought: str) -> None:
    """Whatever the client brings, or names in Connection: one credential, the run's."""
    assert world.tunnel().get(more=brought).status == 200
    (received,) = world.server.requests
    assert received.headers == [("Host", API), ("Authorization", f"Bearer {KEY}")]
    assert world.trace(1)[0][0].grants == ("openai",)


def test_no_credential_goes_to_another_host(world: World) -> None:
    """Its own headers do, since nothing is bound there."""
    answer = world.tunnel("other.example.com:443").get(
        host="other.example.com", more="Authorization: mine\r\nCookie: mine\r\n"
    )
    assert answer.status == 200
    assert world.server.requests[0].headers == [
        ("Host", "other.example.com"),
        ("Authorization", "mine"),
        ("Cookie", "mine"),
    ]
    assert world.keys.asked == []
    assert world.trace(1)[0][0].grants == ()


def test_no_credential_goes_to_another_host_named_in_the_same_tunnel(world: World) -> None:
    """The tunnel is for one host, and the connection ends with the attempt to use it otherwise."""
    client = world.tunnel()
    assert client.get().status == 200
    assert client.get(host="other.example.com").status == 421
    assert len(world.server.requests) == 1
    assert world.keys.asked == ["openai"]


def test_no_credential_goes_over_plain_http(world: World) -> None:
    """Not to the same host, where a person allowed plain http to it."""
    client = world.client()
    answer = client.get(f"http://{API}/", API, more="Authorization: p\r\n")
    assert answer.status == 200
    assert world.plain.requests[0].all("authorization") == ["p"]


def test_what_is_hop_by_hop_stays_behind(world: World) -> None:
    """In both directions, with what Connection names."""
    world.server.answers(
        reply(more="Connection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nX-Stays: 1\r\n")
    )
    answer = world.tunnel().get(
        more="Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
        "TE: trailers\r\nX-E: 1\r\n"
    )
    assert [name for name, _ in world.server.requests[0].headers] == [
        "Host",
        "X-E",
        "Authorization",
    ]
    assert [name for name, _ in answer.headers] == ["Content-Length", "X-Stays"]


def test_a_credential_that_is_gone_refuses(world: World) -> None:
    """502 says so, nothing is sent, and the connection stays of use."""
    world.keys.secrets.clear()
    client = world.tunnel()
    for _ in range(2):
        answer = client.get()
        assert answer.status == 502
        assert answer.problem["detail"] == "nothing is granted as openai"
    assert world.untouched()


def test_a_credential_with_a_line_end_is_not_sent(world: World) -> None:
    """It would be a header of its own."""
    world.keys.secrets["openai"] = "sk\r\nX-Evil: 1"
    answer = world.tunnel().get()
    assert (502, "urn:moat:problem:no-credential") == (answer.status, answer.problem["type"])
    assert world.untouched()


def test_trace_is_refused_where_a_credential_goes(world: World) -> None:
    """Its answer would be the credential."""
    client = world.tunnel()
    client.send(get(method="TRACE"))
    assert client.answer().status == 405
    assert world.untouched()


def test_a_new_session_counts_from_the_next_request_on(world: World) -> None:
    """Also on a connection that is open."""
    client = world.tunnel()
    assert client.get().status == 200
    world.allow("other.example.com")
    assert client.get().status == 403
    assert len(world.server.requests) == 1


# records


def test_an_exchange_is_recorded_before_it_is_forwarded(world: World) -> None:
    """When the record is written, no server has heard of the request."""
    heard: list[tuple[str, bool]] = []
    world.ledger.on_record = lambda entry: heard.append((entry.outcome, world.server.heard))
    assert world.tunnel().get().status == 200
    world.trace(1)
    assert heard == [("open", False), ("forwarded", True)]


def test_what_cannot_be_recorded_is_not_forwarded(world: World) -> None:
    """503, nothing is heard upstream, and the connection ends."""
    world.ledger.failing = True
    client = world.tunnel()
    answer = client.get()
    assert (503, "urn:moat:problem:not-recorded") == (answer.status, answer.problem["type"])
    assert answer.all("connection") == ["close"]
    assert client.rest() == b""
    assert world.untouched()


def test_a_last_record_that_fails_ends_the_connection(world: World) -> None:
    """The answer is out; nothing more is served."""

    def fail(entry: Entry) -> None:
        world.ledger.failing = entry.outcome == "open"

    world.ledger.on_record = fail
    client = world.tunnel()
    assert client.get().status == 200
    assert client.rest() == b""


@pytest.mark.parametrize(
    ("up", "down", "request_", "answer"),
    [
        (0, 2, get(), reply()),
        (5, 0, post(b"hello"), reply(b"")),
        (5, 3, post(b"hello"), reply(b"abc", status="404 Not Found")),
        (
            5,
            3,
            f"POST / HTTP/1.1\r\nHost: {API}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (0, 0, get(), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        (0, 0, get(), b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_bytes_and_status_are_those_on_the_wire(
    world: World, up: int, down: int, request_: bytes, answer: bytes
) -> None:
    """Bodies are counted without their framing."""
    world.server.answers(answer)
    client = world.tunnel()
    client.send(request_)
    status = client.answer().status
    ((entry, measured),) = world.trace(1)
    assert ("forwarded", status) == (entry.outcome, entry.status)
    assert (up, down) == (measured.bytes_up, measured.bytes_down)
    assert measured.first_byte is not None
    assert measured.duration is not None
    assert "http/1.1" == measured.protocol
    assert 0 < measured.first_byte <= measured.duration
    assert client.get().status == 200


def test_something_unforeseen_is_answered_and_recorded(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500, a row that is not left open, and a log that says how."""

    async def fail(grant: str) -> None:
        raise ZeroDivisionError(grant)

    monkeypatch.setattr(world.keys, "resolve", fail)
    with caplog.at_level(logging.ERROR):
        client = world.tunnel()
        assert client.get().status == 500
        assert client.rest() == b""
    assert ("failed", 500) == (world.trace(1)[0][0].outcome, world.trace(1)[0][0].status)
    assert "ZeroDivisionError" in caplog.text
    assert world.untouched()


# answers without a body


def test_an_answer_to_head_has_no_framing_that_is_not_its_own(world: World) -> None:
    """How the body would have been framed is of one connection only."""
    world.server.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n")
    client = world.tunnel()
    client.send(get(method="HEAD"))
    assert b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n" == client.until(b"\r\n\r\n")
    assert client.get().status == 200
    assert world.server.connections == 1


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(world: World, method: str, raw: bytes) -> None:
    """Whatever length it states, and both connections stay of use."""
    world.server.answers(raw)
    client = world.tunnel()
    client.send(get(method=method))
    assert raw == client.until(b"\r\n\r\n")
    assert client.get().status == 200
    assert world.server.connections == 1


# 1xx


def test_early_hints_pass(world: World) -> None:
    """103 comes before the answer, and is not the answer."""
    world.server.answers(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + reply()
    )
    client = world.tunnel()
    client.send(get())
    assert client.head().all("link") == ["</a>"]
    assert client.head().status == 102
    assert client.answer().body == b"ok"
    assert world.trace(1)[0][0].status == 200


def test_one_hint_after_the_other_is_no_answer(world: World) -> None:
    """A server that never comes to the point holds nobody for ever."""
    world.server.answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200 + reply())
    client = world.tunnel()
    client.send(get())
    for _ in range(100):
        assert client.head().status == 103
    assert client.answer().status == 502


def test_continue_is_asked_for_and_given(world: World) -> None:
    """The body is sent after 100, which comes from the server."""

    def script(stream: Stream) -> None:
        assert b"Expect: 100-continue" in stream.until(b"\r\n\r\n")
        assert stream.is_silent()
        stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert stream.exactly(5) == b"hello"
        stream.send(reply())

    world.server.script = script
    client = world.tunnel()
    head, body = post(b"hello", more="Expect: 100-continue\r\n").split(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.head().status == 100
    client.send(body)
    assert client.answer().status == 200


@pytest.mark.parametrize("expected", ["200-maybe", "", "100-continue, 100-continue"])
def test_no_other_expectation_is_met(world: World, expected: str) -> None:
    """417, and nothing is sent: who forwards what it does not know, promises it."""
    client = world.tunnel()
    client.send(post(b"hello", more=f"Expect: {expected}\r\n"))
    assert client.answer().status == 417
    assert world.untouched()
    assert ("refused", 417) == (world.trace(1)[0][0].outcome, world.trace(1)[0][0].status)


@pytest.mark.parametrize("host", [API, "evil.example"])
def test_continue_may_be_refused(world: World, host: str) -> None:
    """By the server with 413, by policy with 403: at once, and nobody waits for the body."""
    world.server.script = lambda stream: (
        stream.until(b"\r\n\r\n"),
        stream.send(reply(status="413 Too Large", more="Connection: close\r\n")),
        end_tls(stream),
    )[2]
    client = world.tunnel(f"{host}:443")
    head = post(b"hello", host, more="Expect: 100-continue\r\n").split(b"\r\n\r\n")[0]
    client.send(head + b"\r\n\r\n")
    answer = client.answer()
    assert ({API: 413}.get(host, 403), ["close"]) == (answer.status, answer.all("connection"))
    assert client.rest() == b""


# a server that misbehaves


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("upstream-malformed", b"nonsense\r\n\r\n"),
        ("upstream-malformed", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        ("upstream-malformed", b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n"),
        ("upstream-malformed", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
        (
            "upstream-malformed",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        ),
        (
            "upstream-malformed",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "upstream-malformed",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: content-length\r\n\r\nxx",
        ),
        ("upstream-malformed", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
        ("upstream-malformed", b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"),
        ("upstream-closed", b""),
        ("upstream-closed", b"HTTP/1.1 200 OK\r\nX:"),
        ("upstream-closed", b"HTTP/1.1 103 Early\r\n\r\n"),
    ],
)
def test_an_answer_that_is_none_is_said_to_be_none(world: World, kind: str, raw: bytes) -> None:
    """502 says what was wrong, and nothing of it is passed on."""
    world.server.answers(raw, close=True)
    client = world.tunnel()
    client.send(get())
    answer = client.answer()
    if answer.status == 103:
        answer = client.answer()
    assert (502, f"urn:moat:problem:{kind}") == (answer.status, answer.problem["type"])
    ((entry, _),) = world.trace(1)
    assert ("failed", ("openai",)) == (entry.outcome, entry.grants)
    world.server.script = world.server.serve
    assert client.get().status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nXX\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
def test_an_answer_that_is_cut_is_seen_as_cut(world: World, raw: bytes) -> None:
    """The client gets no orderly end for half a body."""

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        stream.send(raw[:-4])
        assert stream.is_silent(0.1)
        stream.send(raw[-4:])
        assert stream.is_silent(0.1)
        stream.reset()

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    assert client.head().status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.rest()
    ((entry, _),) = world.trace(1)
    assert ("failed", 200) == (entry.outcome, entry.status)
    assert entry.error is not None
    assert "was cut" in entry.error


def test_an_answer_that_is_malformed_at_once_is_refused(world: World) -> None:
    """Nothing was delivered yet, so there is something to say."""
    world.server.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXX\r\n")
    answer = world.tunnel().get()
    assert (502, "urn:moat:problem:upstream-cut") == (answer.status, answer.problem["type"])
    assert world.trace(1)[0][0].outcome == "failed"


def test_an_answer_that_ends_with_its_connection_comes_whole(world: World) -> None:
    """The twin: close_notify from the server is the end, and the client's connection stays."""
    world.server.answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000, close=True)
    client = world.tunnel()
    client.send(get())
    answer = client.answer()
    assert answer.all("transfer-encoding") == ["chunked"]
    assert answer.body == b"x" * 300_000
    assert world.trace(1)[0][0].outcome == "forwarded"
    assert client.get().status == 200


def test_an_answer_of_http_1_0_is_passed_on_as_1_1(world: World) -> None:
    """With its length the client's connection stays; the server's does not."""
    world.server.answers(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client = world.tunnel()
    assert client.get().body == b"ok"
    assert client.get().body == b"ok"
    assert world.server.connections == 2


# a client that goes away


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves_takes_the_upstream_along(world: World, how: str, begun: bool) -> None:
    """Before the answer and in the middle of it: closed, recorded, and nothing left."""
    closed = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        if begun:
            stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        if stream.is_closed():
            closed.set()

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    if begun:
        assert client.head().status == 200
    else:
        assert eventually(lambda: world.server.heard)
    getattr(client, how)()
    assert closed.wait(5)
    ((entry, measured),) = world.trace(1)
    assert ("failed", "the client went away") == (entry.outcome, entry.error)
    assert (200 if begun else 499) == entry.status
    assert (5 if begun else 0) == measured.bytes_down
    assert entry.grants == ("openai",)
    assert eventually(lambda: not world.proxy._tasks)


def test_a_client_that_leaves_after_its_answer_got_its_answer(world: World) -> None:
    """Every exchange whose answer was read whole is recorded as forwarded."""
    world.server.answers(*[reply(b"x" * 400_000)] * 30)
    for number in range(1, 31):
        client = world.tunnel()
        client.send(get())
        assert len(client.answer().body) == 400_000
        client.reset() if number % 2 else client.close()
    outcomes = [(entry.outcome, measured.bytes_down) for entry, measured in world.trace(30)]
    assert outcomes == [("forwarded", 400_000)] * 30


def test_a_client_that_leaves_while_a_secret_is_resolved(world: World) -> None:
    """Nothing goes out for it any more."""
    import asyncio

    async def never(grant: str) -> None:
        world.keys.asked.append(grant)
        await asyncio.sleep(60)

    world.keys.resolve = never
    client = world.tunnel()
    client.send(get())
    assert eventually(lambda: bool(world.keys.asked))
    client.close()
    ((entry, _),) = world.trace(1)
    assert ("failed", 499, ()) == (entry.outcome, entry.status, entry.grants)
    assert world.untouched()


def test_several_credentials_go_in_together(world: World) -> None:
    """Each in its header."""
    pattern = HostPattern.parse(API)
    world.keys.secrets["second"] = "s2"
    world.allow(
        API,
        inject=[
            Injection("second", pattern, "X-Second"),
            Injection("openai", pattern, "Authorization", "Bearer {}", strips=("X-Second",)),
        ],
    )
    assert world.tunnel().get(more="X-Second: mine\r\n").status == 200
    assert world.server.requests[0].all("x-second") == ["s2"]
    assert world.trace(1)[0][0].grants == ("openai", "second")
