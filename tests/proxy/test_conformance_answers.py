"""Answers over HTTP/1.1 from a server nobody trusts: each refusal beside what is passed on.

Whatever a server sends, a client gets one answer to each of its requests, which every reader reads
alike; what follows an answer is nobody's.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from fuzz import strict
from moat.core.hosts import Destination
from proxy.support import API, Stream, World, eventually, get
from proxy.tape import Tape, head

EVIL = head("HTTP/1.1 200 OK", "X-Evil: 1", "Content-Length: 4") + b"evil"
CHUNKED = "Transfer-Encoding: chunked"
LENGTH_2 = "Content-Length: 2"
OK = "HTTP/1.1 200 OK"
NO_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """What is refused; what is passed on, and as what."""

    name: str
    refused: bytes
    passed: bytes
    got: bytes
    method: str = "GET"


def answer(*fields: str, line: str = OK, body: bytes = b"ok") -> bytes:
    """An answer of these lines; one that states no length has the length of its body."""
    return head(line, *(fields or (LENGTH_2,))) + body


def line(name: str, refused: str, passed: str = OK) -> Case:
    """Two status lines."""
    good = answer(line=passed)
    return Case(name, answer(line=refused), good, good)


def field(name: str, refused: str, passed: str = "X: 1") -> Case:
    """Two header lines."""
    good = answer(passed, LENGTH_2)
    return Case(name, answer(refused, LENGTH_2), good, good)


def framed(name: str, *refused: str, passed: str = LENGTH_2) -> Case:
    """Two ways to say how long a body is."""
    good = answer(passed)
    return Case(name, answer(*refused), good, good)


def coded(name: str, *refused: str, passed: str = CHUNKED) -> Case:
    """Two ways to say that chunks follow."""
    body = b"2\r\nok\r\n0\r\n\r\n"
    return Case(
        name, answer(*refused, body=body), answer(passed, body=body), answer(CHUNKED, body=body)
    )


def chunks(
    name: str, refused: bytes, passed: bytes = b"2\r\nok\r\n", end: bytes = b"0\r\n\r\n"
) -> Case:
    """Two bodies in chunks, of which the second comes as one of two bytes."""
    return Case(
        name,
        answer(CHUNKED, body=refused + NO_CHUNK),
        answer(CHUNKED, body=passed + end),
        answer(CHUNKED, body=b"2\r\nok\r\n" + end),
    )


CASES = [
    line("two-digits", "HTTP/1.1 20 OK", "HTTP/1.1 299 OK"),
    line("four-digits", "HTTP/1.1 2000 OK", "HTTP/1.1 200 2000 OK"),
    line("status-0", "HTTP/1.1 000 OK", "HTTP/1.1 200 000 OK"),
    line("status-600", "HTTP/1.1 600 OK", "HTTP/1.1 599 OK"),
    line("a-sign", "HTTP/1.1 +20 OK", "HTTP/1.1 200 +"),
    line("http-2", "HTTP/2 200 OK", "HTTP/1.1 200 HTTP/2"),
    line("http-1-2", "HTTP/1.2 200 OK"),
    line("small-letters", "http/1.1 200 OK", "HTTP/1.1 200 ok"),
    line("another-protocol", "ICY 200 OK", "HTTP/1.1 200 ICY"),
    line("two-blanks", "HTTP/1.1  200 OK", "HTTP/1.1 200  OK"),
    line("a-tab", "HTTP/1.1\t200 OK", "HTTP/1.1 200 \tOK"),
    line("NUL-in-the-reason", "HTTP/1.1 200 O\0K", "HTTP/1.1 200 "),
    line("CR-in-the-reason", "HTTP/1.1 200 OK\rX: 1", "HTTP/1.1 200 OK X: 1"),
    Case("an-empty-line-before", b"\r\n" + answer(), answer(), answer()),
    Case("no-head", b"ok\r\n\r\n", answer(), answer()),
    field("a-blank-before-the-colon", "X : 1"),
    field("no-colon", "X", "X: "),
    field("no-name", ": 1", "!: 1"),
    field("NUL-in-the-value", "X: a\0b", "X: a b"),
    field("CR-in-the-value", "X: a\rSet-Cookie: b", "X: a Set-Cookie: b"),
    field("LF-in-the-value", "X: a\nSet-Cookie: b", "X: a; Set-Cookie: b"),
    field("folded", "X: a\r\n b", "X: a b"),
    field("a-long-head", "X: " + "a" * 70_000, "X: " + "a" * 60_000),
    Case("LF-for-line-ends", answer().replace(b"\r\n", b"\n") + b"\r\n\r\n", answer(), answer()),
    framed("length-and-chunks", LENGTH_2, CHUNKED),
    framed("chunks-and-length", CHUNKED, LENGTH_2),
    framed("two-lengths", LENGTH_2, LENGTH_2),
    framed("two-lengths-that-differ", LENGTH_2, "content-length: 0"),
    framed("listed-lengths", "Content-Length: 2, 2"),
    framed("signed-length", "Content-Length: +2", passed="Content-Length: 02"),
    framed("negative-length", "Content-Length: -2", passed="content-length: 2"),
    framed("hexadecimal-length", "Content-Length: 0x2"),
    framed("huge-length", "Content-Length: 18446744073709551618"),
    framed("length-of-the-connection", LENGTH_2, "Connection: close, content-length"),
    coded("chunks-twice", CHUNKED, CHUNKED),
    coded("identity-behind", CHUNKED, "Transfer-Encoding: identity"),
    coded("compressed", "Transfer-Encoding: gzip, chunked"),
    coded("another-coding", "Transfer-Encoding: xchunked", passed="Transfer-Encoding: Chunked"),
    coded("a-vertical-tab", "Transfer-Encoding: \x0bchunked", passed="transfer-encoding:chunked"),
    coded("chunks-of-the-connection", CHUNKED, "Connection: transfer-encoding"),
    Case(
        "chunks-in-http-1-0",
        answer(CHUNKED, line="HTTP/1.0 200 OK", body=b"2\r\nok\r\n0\r\n\r\n"),
        answer(line="HTTP/1.0 200 OK"),
        answer(),
    ),
    chunks("no-size", b"\r\n"),
    chunks("a-sign-of-a-chunk", b"+2\r\nok\r\n", b"002\r\nok\r\n"),
    chunks("a-prefix", b"0x2\r\nok\r\n", b"2;x2\r\nok\r\n"),
    chunks("a-size-that-overflows", b"10000000000000002\r\nok\r\n", b"0000002\r\nok\r\n"),
    chunks("a-chunk-too-long", b"2\r\nokay\r\n", b"1\r\no\r\n1\r\nk\r\n"),
    chunks("a-chunk-with-another-end", b"2\r\nokXX"),
    chunks("a-chunk-too-short", b"3\r\nok\r\n"),
    chunks("LF-behind-a-size", b"2\nok\r\n"),
    chunks("LF-behind-a-chunk", b"2\r\nok\n"),
    chunks("LF-in-an-extension", b"2;a\nb\r\nok\r\n", b"2;ab\r\nok\r\n"),
    chunks("length-as-a-trailer", b"0\r\nContent-Length: 5\r\n\r\n", end=b"0\r\nX: 5\r\n\r\n"),
    chunks("cookie-as-a-trailer", b"0\r\nSet-Cookie: a\r\n\r\n", end=b"0\r\nX-Cookie: a\r\n\r\n"),
    chunks("LF-in-a-trailer", b"0\r\nX: a\nY: b\r\n\r\n", end=b"0\r\nX: a\r\nY: b\r\n\r\n"),
    # protocols that nobody asked for
    Case(
        "a-switch",
        answer("Upgrade: websocket", "Connection: Upgrade", line="HTTP/1.1 101 OK"),
        answer("Upgrade: websocket", LENGTH_2),
        answer(),
    ),
    Case("a-bare-switch", answer("X: 1", line="HTTP/1.1 101 OK"), answer(), answer()),
]  # fmt: skip


@pytest.mark.attack
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_refused(world: World, case: Case) -> None:
    """With 502, and nothing of it goes on; the next answer comes by another connection."""
    tape = Tape(world.server, case.refused + EVIL)
    client = world.tunnel()
    first, second = client.get(), client.get()
    assert (502, b"ok") == (first.status, second.body)
    assert b"evil" not in first.body
    assert not first.all("set-cookie") + second.all("x-evil")
    assert 2 == len(tape.heard)
    (failed, _), (forwarded, _) = world.trace(2)
    assert ("failed", "forwarded") == (failed.outcome, forwarded.outcome)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_passed_on(world: World, case: Case) -> None:
    """In these bytes and no others."""
    Tape(world.server, case.passed)
    client = world.tunnel()
    client.send(get(method=case.method))
    assert case.got == client.exactly(len(case.got))
    assert client.get().body == b"ok"
    assert ["forwarded"] * 2 == [entry.outcome for entry, _ in world.trace(2)]


NOT_MODIFIED = head("HTTP/1.1 304 Not Modified", "Content-Length: 900")
BODILESS = {
    "HEAD-with-a-length": ("HEAD", answer()[:-2], answer()[:-2]),
    "HEAD-with-chunks": ("HEAD", answer(CHUNKED, body=b""), head(OK)),
    "HEAD": ("HEAD", head(OK), head(OK)),
    "304": ("GET", NOT_MODIFIED, NOT_MODIFIED),
    "204": ("GET", head("HTTP/1.1 204 No", CHUNKED), head("HTTP/1.1 204 No")),
    "nothing": (
        "GET",
        answer("Content-Length: 0", body=b""),
        answer("Content-Length: 0", body=b""),
    ),
}


@pytest.mark.attack
@pytest.mark.parametrize("what", BODILESS)
@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
def test_what_follows_an_answer_without_a_body_is_nobodys(
    world: World, what: str, followed: bool
) -> None:
    """Whoever believes in a body there would take the next answer for it, or it for the next."""
    method, sent, got = BODILESS[what]
    tape = Tape(world.server, sent + EVIL if followed else sent)
    client = world.tunnel()
    client.send(get(method=method))
    assert got == client.exactly(len(got))
    assert client.is_silent(0.05)
    answered = client.get()
    assert ([], b"ok") == (answered.all("x-evil"), answered.body)
    assert (2 if followed else 1) == len(tape.heard)


@pytest.mark.attack
def test_what_comes_between_two_answers_is_nobodys(world: World) -> None:
    """A server that speaks unasked, while nobody waits for it, is not asked again."""
    said = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        stream.send(answer())
        assert said.wait(5)
        stream.send(EVIL)
        world.server.serve(stream)

    world.server.script = script
    client = world.tunnel()
    assert client.get().body == b"ok"
    ((wire, _),) = world.upstreams._idle[Destination("https", API, 443)]
    said.set()
    assert eventually(lambda: bool(wire.buffer))
    world.server.script = world.server.serve
    answered = client.get()
    assert ([], b"ok") == (answered.all("x-evil"), answered.body)


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_what_comes_before_an_answer_has_no_body(world: World, status: str) -> None:
    """Whatever it says of one; the answer that follows is the answer."""
    before = head(f"HTTP/1.1 {status}", "X: 1", CHUNKED)
    Tape(world.server, before + answer())
    client = world.tunnel()
    client.send(get())
    assert head(f"HTTP/1.1 {status}", "X: 1") + answer() == client.exactly(
        len(before) - len(CHUNKED) - 2 + len(answer())
    )
    assert client.get().status == 200


HOP_BY_HOP = [
    "Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Connection: close",
    "Proxy-Authenticate: Basic", "TE: trailers", "Upgrade: h2c",
]  # fmt: skip


def test_what_concerns_one_connection_stays_on_it(world: World) -> None:
    """In both directions, with all that Connection names; what is meant for the end goes on."""
    tape = Tape(world.server, answer(*HOP_BY_HOP, "X-End: 1", LENGTH_2))
    client = world.tunnel()
    asked = ("Proxy-Authorization: Basic eDp5", *HOP_BY_HOP, "X-End: 1")
    client.send(get(more="".join(f"{text}\r\n" for text in asked)))
    got = answer("X-End: 1", LENGTH_2).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert got == client.rest()
    sent = head("GET / HTTP/1.1", f"Host: {API}", "X-End: 1", "Authorization: Bearer sk-real")
    assert sent == tape.only()


def test_the_client_ends_as_it_was_told(world: World) -> None:
    """Answer after answer is read alike by a reader who shares nothing with the proxy."""
    raw = [case.passed for case in CASES if case.method == "GET"]
    Tape(world.server, *raw)
    client = world.tunnel()
    client.send(get() * (len(raw) - 1) + get(more="Connection: close\r\n"))
    found = strict.responses(client.rest(), ["GET"] * len(raw))
    assert [b"ok"] * len(raw) == [message.body for message in found]
