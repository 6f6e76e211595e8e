"""Whole exchanges where HTTP/2 is spoken with the client, with the upstream, or with both."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from h2.errors import ErrorCodes

from proxy.h2_support import H2Server, Heard, Pairs, Peer, client, reply
from proxy.support import API, Stream, World, eventually, get
from proxy.support import reply as h1_reply

H2World = tuple[World, H2Server]
MIB = 2**20


@dataclass
class Answer:
    """What a client got, over whichever HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str]


def ask_h1(world: World, method: str, body: bytes, trailers: Pairs) -> Answer:
    """Ask over HTTP/1.1, with chunks."""
    tunnel = world.tunnel()
    tunnel.send(get("/x", method=method, more="Transfer-Encoding: chunked\r\n" if body else ""))
    if body:
        fields = b"".join(b"%b: %b\r\n" % pair for pair in trailers)
        tunnel.send(b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, fields))
    answer = tunnel.answer(method)
    while answer.status < 200:
        answer = tunnel.answer(method)
    lines = [line.split(": ") for line in answer.trailers.decode().splitlines()]
    headers = {name.lower(): value for name, value in answer.headers}
    return Answer(answer.status, headers, answer.body, dict(lines))  # type: ignore[arg-type]


def ask_h2(world: World, method: str, body: bytes, trailers: Pairs) -> Answer:
    """Ask over HTTP/2."""
    peer = client(world)
    number = peer.ask("/x", method=method, end=not body)
    if body:
        peer.send(number, body, end=not trailers)
        if trailers:
            peer.end(number, trailers)
    heard = peer.answer(number)
    assert heard.reset is None
    return Answer(heard.status, _text(heard.heads[-1]), heard.data, _text(heard.trailers))


def _text(pairs: Pairs) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in pairs}


BOTH = pytest.mark.parametrize("ask", [ask_h1, ask_h2])
Ask = Callable[[World, str, bytes, Pairs], Answer]


# bodies


@BOTH
@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MIB])
def test_bodies_go_both_ways(h2_world: H2World, ask: Ask, size: int) -> None:
    """To an upstream that speaks HTTP/2 alone, whatever the client speaks."""
    world, upstream = h2_world
    upstream.respond = lambda peer, number, heard: reply(peer, number, heard.data[::-1])
    data = os.urandom(size)
    answer = ask(world, "POST", data, [])
    assert (200, data[::-1]) == (answer.status, answer.body)
    assert answer.headers["content-length"] == str(size)
    ((entry, measured),) = world.trace(1)
    assert ("forwarded", size, size) == (entry.outcome, measured.bytes_up, measured.bytes_down)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MIB])
def test_bodies_go_both_ways_translated(world: World, size: int) -> None:
    """From a client that speaks HTTP/2 alone to an upstream that does not."""

    def script(stream: Stream) -> None:
        while received := world.server.receive(stream):
            stream.send(h1_reply(received.body[::-1]))

    world.server.script = script
    data = os.urandom(size)
    answer = ask_h2(world, "POST", data, [])
    assert (200, data[::-1]) == (answer.status, answer.body)
    (received,) = world.server.requests
    assert received.all("transfer-encoding") == (["chunked"] if size else [])
    assert received.all("content-length") == ([] if size else ["0"])
    assert received.all("te") == []


@BOTH
def test_trailers_go_both_ways(h2_world: H2World, ask: Ask) -> None:
    """As gRPC needs them."""
    world, upstream = h2_world
    world.allow(API, inject=())  # where a credential goes, none come up

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        peer.h2.send_headers(number, [(b":status", b"200")])
        peer.send(number, b"data")
        peer.end(number, [(b"grpc-status", b"0")])

    upstream.respond = respond
    answer = ask(world, "POST", b"body", [(b"x-digest", b"d")])
    assert (200, b"data", {"grpc-status": "0"}) == (answer.status, answer.body, answer.trailers)
    assert (b"body", [(b"x-digest", b"d")]) == (upstream.whole[0].data, upstream.whole[0].trailers)


def test_trailers_go_both_ways_translated(world: World) -> None:
    """Chunked on the side that speaks HTTP/1.1."""
    world.allow(API, inject=())
    got: list[tuple[bytes, bytes]] = []

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        got.append(stream.chunked())
        stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        stream.send(b"4\r\ndata\r\n0\r\nGrpc-Status: 0\r\n\r\n")
        stream.fill()

    world.server.script = script
    answer = ask_h2(world, "POST", b"body", [(b"x-digest", b"d")])
    assert (200, b"data", {"grpc-status": "0"}) == (answer.status, answer.body, answer.trailers)
    assert got == [(b"body", b"x-digest: d\r\n")]


@pytest.mark.attack
@pytest.mark.parametrize(
    "trailer", [(b":path", b"/x"), (b"authorization", b"x"), (b"host", b"x"), (b"X-A", b"1")]
)
def test_what_must_not_stand_in_trailers_is_refused(
    h2_world: H2World, trailer: tuple[bytes, bytes]
) -> None:
    """The upstream sees a cut, and not an end."""
    world, upstream = h2_world
    upstream.early = True
    upstream.respond = lambda peer, number, heard: None
    peer = client(world)
    number = peer.ask(method="POST", end=False)
    assert eventually(lambda: bool(upstream.asked))
    peer.send(number, b"body")
    peer.end(number, [trailer])
    assert peer.answer(number).reset == ErrorCodes.PROTOCOL_ERROR
    assert eventually(lambda: upstream.whole[0].reset is not None)
    assert not upstream.whole[0].ended
    ((entry, _),) = world.trace(1)
    assert "not sound" in (entry.error or "")


@pytest.mark.attack
@pytest.mark.parametrize("sent", [b"1234", b"123456"])
def test_a_body_of_another_length_than_stated_is_refused(h2_world: H2World, sent: bytes) -> None:
    """Or an upstream would read what follows as another request, over HTTP/1.1."""
    world, upstream = h2_world
    upstream.early = True
    upstream.respond = lambda peer, number, heard: None
    peer = client(world)
    number = peer.ask("/", (b"content-length", b"5"), method="POST", end=False)
    assert eventually(lambda: bool(upstream.asked))
    peer.send(number, sent, end=True)
    assert peer.answer(number).reset == ErrorCodes.PROTOCOL_ERROR
    assert eventually(lambda: upstream.whole[0].reset is not None)
    ((entry, _),) = world.trace(1)
    assert ("failed", 400) == (entry.outcome, entry.status)
    other = peer.ask("/", (b"content-length", b"5"), method="POST", end=False)
    peer.send(other, b"12345", end=True)
    assert eventually(lambda: len(upstream.whole) == 2 and upstream.whole[1].data == b"12345")


@pytest.mark.attack
def test_a_body_that_trailers_end_too_early_is_refused(h2_world: H2World) -> None:
    """As one that ends by itself."""
    world, upstream = h2_world
    upstream.early = True
    upstream.respond = lambda peer, number, heard: None
    peer = client(world)
    number = peer.ask("/", (b"content-length", b"5"), method="POST", end=False)
    assert eventually(lambda: bool(upstream.asked))
    peer.send(number, b"1234")
    peer.end(number, [(b"x-digest", b"d")])
    assert peer.answer(number).reset == ErrorCodes.PROTOCOL_ERROR
    assert eventually(lambda: upstream.whole[0].reset is not None)
    assert not upstream.whole[0].ended


@pytest.mark.attack
def test_headers_of_one_connection_stay_on_it_translated(world: World) -> None:
    """Over HTTP/1.1 a TE would be about the next connection."""
    assert client(world).get("/", (b"te", b"trailers")).status == 200
    (received,) = world.server.requests
    assert received.all("te") == []


@BOTH
def test_answers_that_have_no_body(h2_world: H2World, ask: Ask) -> None:
    """To HEAD, 204 and 304: what a length says in them is about no body here."""
    world, upstream = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        status = {b"HEAD": b"200", b"GET": b"304", b"DELETE": b"204"}[heard.headers[b":method"]]
        fields = [(b":status", status)]
        if status != b"204":
            fields.append((b"content-length", b"5"))
        peer.h2.send_headers(number, fields, end_stream=True)

    upstream.respond = respond
    for method, status in {"HEAD": 200, "GET": 304, "DELETE": 204}.items():
        answer = ask(world, method, b"", [])
        assert (status, b"") == (answer.status, answer.body)
        assert answer.headers.get("content-length") == (None if status == 204 else "5")


@BOTH
def test_an_answer_that_ends_with_its_head(h2_world: H2World, ask: Ask) -> None:
    """Says nothing of a length, and is whole all the same."""
    world, upstream = h2_world
    upstream.respond = lambda peer, number, heard: peer.h2.send_headers(
        number, [(b":status", b"200"), (b"x-a", b"1")], end_stream=True
    )
    answer = ask(world, "GET", b"", [])
    assert (200, b"", "1") == (answer.status, answer.body, answer.headers["x-a"])


def test_answers_before_the_answer_are_passed_on(h2_world: H2World) -> None:
    """100 for who waits for it, and others."""
    world, upstream = h2_world
    upstream.early = True

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        peer.h2.send_headers(number, [(b":status", b"103"), (b"link", b"</a>")])
        peer.h2.send_headers(number, [(b":status", b"100")])
        peer.flush()
        peer.until(lambda: heard.ended)
        reply(peer, number, heard.data)

    upstream.respond = respond
    peer = client(world)
    number = peer.ask("/", (b"expect", b"100-continue"), method="PUT", end=False)
    heard = peer.head(number, heads=2)
    assert [dict(head)[b":status"] for head in heard.heads] == [b"103", b"100"]
    assert heard.heads[0] == [(b":status", b"103"), (b"link", b"</a>")]
    peer.send(number, b"body", end=True)
    assert (200, b"body") == (peer.answer(number).status, heard.data)
    assert [[b"100-continue"]] == list(upstream.of(b"expect"))


# as it comes


@BOTH
def test_events_come_one_by_one(h2_world: H2World, ask: Ask) -> None:
    """Each before the next is made."""
    world, upstream = h2_world
    upstream.early = True
    seen = threading.Semaphore(0)

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        kind = (b"content-type", b"text/event-stream")
        peer.h2.send_headers(number, [(b":status", b"200"), kind])
        for count in range(20):
            peer.send(number, b"data: %d\n\n" % count)
            assert seen.acquire(timeout=10)
        peer.end(number)

    upstream.respond = respond
    if ask is ask_h1:
        tunnel = world.tunnel()
        tunnel.send(get())
        assert tunnel.head().status == 200
        for count in range(20):
            assert b"data: %d" % count in tunnel.until(b"\n\n")
            seen.release()
        tunnel.until(b"0\r\n\r\n")
    else:
        peer = client(world)
        heard = peer.head(number := peer.ask())
        for count in range(20):
            peer.until(lambda count=count: heard.data.endswith(b"data: %d\n\n" % count))
            seen.release()
        assert peer.answer(number).ended
    ((entry, _),) = world.trace(1)
    assert entry.outcome == "forwarded"


def test_an_answer_that_is_not_waited_for(h2_world: H2World) -> None:
    """It comes while the client still sends, which is then told that the rest is not wanted."""
    world, upstream = h2_world
    upstream.early = True
    upstream.respond = lambda peer, number, heard: reply(peer, number, b"no", status=413)
    peer = client(world)
    number = peer.ask("/", (b"content-length", b"1000000"), method="POST", end=False)
    peer.send(number, b"x" * 10000)
    heard = peer.answer(number)
    assert (413, b"no", True) == (heard.status, heard.data, heard.ended)
    peer.until(lambda: heard.reset is not None)
    assert heard.reset == ErrorCodes.NO_ERROR
    assert eventually(lambda: upstream.whole[0].reset is not None)
    assert peer.get().status == 413


def test_both_ways_at_once(h2_world: H2World) -> None:
    """As a streaming call of gRPC: each message answered before the next."""
    world, upstream = h2_world
    upstream.early = True

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        peer.h2.send_headers(number, [(b":status", b"200")])
        peer.flush()
        for count in range(10):
            peer.until(lambda: len(heard.data) > count)  # noqa: B023
            peer.send(number, heard.data[-1:].upper())
        peer.until(lambda: heard.ended)
        peer.end(number, [(b"grpc-status", b"0")])

    upstream.respond = respond
    peer = client(world)
    number = peer.ask(method="POST", end=False)
    heard = peer.head(number)
    for count, letter in enumerate(b"abcdefghij"):
        peer.send(number, bytes([letter]))
        peer.until(lambda count=count: len(heard.data) > count)
    peer.end(number)
    assert peer.answer(number).data == b"ABCDEFGHIJ"
    assert heard.trailers == [(b"grpc-status", b"0")]


# who does not read


def is_still(count: list[int]) -> bool:
    """Whether a count has stopped for a while."""
    before = count[0]
    time.sleep(0.3)
    return count[0] == before


@pytest.mark.attack
@pytest.mark.parametrize("how", ["its windows", "the network"])
def test_a_client_that_does_not_read_stops_the_upstream(h2_world: H2World, how: str) -> None:
    """What it has not taken waits at the upstream, and not with us; others are not stopped."""
    world, upstream = h2_world
    sent = [0]

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if heard.headers[b":path"] == b"/big":
            peer.h2.send_headers(number, [(b":status", b"200")])
        else:
            reply(peer, number, b"ok")

    def go_on(peer: Peer) -> None:
        while peer.streams and sent[0] < 64 * MIB and peer.h2.local_flow_control_window(1) >= 16384:
            peer.send(1, bytes(16384))
            sent[0] += 16384

    upstream.respond = respond
    upstream.go_on = go_on
    slow = client(world, window=2**27 if how == "the network" else 65535)
    slow.acknowledging = False
    slow.ask("/big")
    assert eventually(lambda: sent[0] > 0)
    assert eventually(lambda: is_still(sent))
    # Twice a socket's buffers, and what may wait in between.
    assert sent[0] < 32 * MIB
    assert client(world).get("/small").data == b"ok"


@pytest.mark.attack
def test_an_upstream_that_does_not_read_stops_the_client(h2_world: H2World) -> None:
    """Its uploads wait in the client; other streams of it go on."""
    world, upstream = h2_world
    upstream.window = 65535
    upstream.early = True
    upstream.respond = lambda peer, number, heard: (
        None if heard.headers[b":method"] == b"POST" else reply(peer, number, b"ok")
    )
    peer = client(world)
    number = peer.ask(method="POST", end=False)
    assert eventually(lambda: bool(upstream.peers))
    upstream.peers[0].acknowledging = False
    sent = 0
    while peer.h2.local_flow_control_window(number) >= 1024:
        peer.send(number, bytes(1024))
        sent += 1024
        if peer.h2.local_flow_control_window(number) < 1024:
            assert peer.get().data == b"ok"  # time for the proxy to open a window, if it would
    assert sent < MIB


# ends that are none


@BOTH
@pytest.mark.parametrize("how", ["reset", "closed"])
def test_an_answer_that_is_cut_is_seen_as_cut(h2_world: H2World, ask: Ask, how: str) -> None:
    """Half an answer must not look like a whole one."""
    world, upstream = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        peer.h2.send_headers(number, [(b":status", b"200")])
        peer.send(number, b"half")
        if how == "reset":
            peer.h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
            peer.flush()
        else:
            peer.stream.close()
            raise ConnectionError

    upstream.respond = respond
    if ask is ask_h1:
        tunnel = world.tunnel()
        tunnel.send(get())
        with pytest.raises((OSError, ValueError)):
            tunnel.answer()
    else:
        peer = client(world)
        heard = peer.answer(peer.ask())
        assert (b"half", ErrorCodes.INTERNAL_ERROR) == (heard.data, heard.reset)
        upstream.respond = lambda peer, number, heard: reply(peer, number, b"ok")
        assert peer.get().data == b"ok"
    assert "cut" in (world.trace(1 if ask is ask_h1 else 2)[0][0].error or "")


@pytest.mark.parametrize("when", ["before the answer", "inside it"])
def test_a_client_that_gives_up_gives_the_upstream_up(h2_world: H2World, when: str) -> None:
    """By a stream; the connection stays for others."""
    world, upstream = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if when == "inside it":
            peer.h2.send_headers(number, [(b":status", b"200")])
            peer.send(number, b"half")

    upstream.respond = respond
    peer = client(world)
    number = peer.ask()
    if when == "inside it":
        peer.head(number)
    assert eventually(lambda: bool(upstream.whole))
    peer.h2.reset_stream(number, ErrorCodes.CANCEL)
    peer.flush()
    assert eventually(lambda: upstream.whole[0].reset is not None)
    ((entry, _),) = world.trace(1)
    assert ("failed", "the client went away") == (entry.outcome, entry.error)
    upstream.respond = lambda peer, number, heard: reply(peer, number, b"ok")
    assert peer.get().data == b"ok"
    assert upstream.connections == 1


def test_a_client_that_goes_away_gives_everything_up(h2_world: H2World) -> None:
    """All its streams are recorded."""
    world, upstream = h2_world
    upstream.respond = lambda peer, number, heard: None
    peer = client(world)
    for _ in range(3):
        peer.ask()
    assert eventually(lambda: len(upstream.whole) == 3)
    peer.stream.close()
    assert eventually(lambda: all(heard.reset is not None for heard in upstream.whole))
    errors = [(entry.outcome, entry.error) for entry, _ in world.trace(3)]
    assert errors == [("failed", "the client went away")] * 3


def test_the_end_of_a_run_is_recorded_as_that(h2_world: H2World) -> None:
    """For every stream that was open."""
    world, upstream = h2_world
    upstream.respond = lambda peer, number, heard: None
    peer = client(world)
    for _ in range(3):
        peer.ask()
    assert eventually(lambda: len(upstream.whole) == 3)
    world.call(world.proxy.close())
    assert [entry.error for entry, _ in world.trace(3)] == ["the run ended"] * 3
    assert peer.is_ended()


def test_a_policy_that_changes_ends_what_it_refuses(h2_world: H2World) -> None:
    """One stream; those it allows go on."""
    world, upstream = h2_world
    upstream.respond = lambda peer, number, heard: peer.h2.send_headers(
        number, [(b":status", b"200")]
    )
    peer = client(world)
    number = peer.ask()
    peer.head(number)

    async def change() -> None:
        world.allow("other.example.com")
        world.handed.live.judge_all()

    world.call(change())
    assert peer.answer(number).reset == ErrorCodes.INTERNAL_ERROR
    ((entry, _),) = world.trace(1)
    assert entry.error == "the policy of the run was changed"
    assert peer.get().status == 403
