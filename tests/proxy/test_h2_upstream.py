"""Connections to upstreams that speak HTTP/2: shared, replaced, closed, and not believed."""

from __future__ import annotations

import socket
import threading

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
)

from moat.core.hosts import Destination
from moat.proxy import h2_upstream, upstream
from moat.proxy.h2_upstream import UpstreamLink
from proxy.conftest import Certificates
from proxy.h2_support import H2Server, Heard, Pairs, Peer, client, reply, server_context
from proxy.support import API, World, eventually, post

H2World = tuple[World, H2Server]
OTHER = "other.example.com"


def links(world: World) -> list[UpstreamLink]:
    """The HTTP/2 connections to upstreams."""
    pool = world.upstreams._shared
    return [] if pool is None else pool._all()


# sharing


def test_a_connection_is_shared_by_all_clients(h2_world: H2World) -> None:
    """Whatever they speak, also at once."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if len(server.asked) == 3:
            for waiting in list(peer.streams):
                reply(peer, waiting, b"ok")

    server.respond = respond
    first, second, third = client(world), client(world), world.tunnel()
    numbers = first.ask(), second.ask()
    third.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % API.encode())
    assert first.answer(numbers[0]).status == 200
    assert second.answer(numbers[1]).status == 200
    assert third.answer().status == 200
    # The one in HTTP/1.1 was turned away first.
    assert server.connections == 2
    assert len(links(world)) == 1


def test_destinations_do_not_share_connections(h2_world: H2World) -> None:
    """Though they lead to one address."""
    world, server = h2_world
    assert client(world).get().status == 200
    assert client(world, f"{OTHER}:443").get(authority=OTHER).status == 200
    assert server.connections == 2
    world.upstreams._connect_to[API, 8443] = world.upstreams._connect_to[API, 443]
    world.allow(f"{API}:8443")
    assert client(world, f"{API}:8443").get(authority=f"{API}:8443").status == 200
    assert server.connections == 3


@pytest.mark.attack
def test_what_was_dialled_for_a_local_service_is_for_nobody_else(h2_world: H2World) -> None:
    """Whose policy does not permit addresses that are not public."""
    world, server = h2_world
    destination = Destination("https", API, 443)

    async def enter() -> None:
        for local in (True, False):
            (await world.upstreams.open(destination, local=local, protocol="h2")).abort()

    world.call(enter())
    assert server.connections == 2


def test_many_that_come_at_once_wait_for_one_connection(h2_world: H2World) -> None:
    """And not each for its own."""
    world, server = h2_world
    peers = [client(world) for _ in range(5)]
    numbers = [(peer, peer.ask()) for peer in peers for _ in range(10)]
    assert [peer.answer(number).status for peer, number in numbers] == [200] * 50
    assert server.connections == 1


def test_a_connection_that_is_full_gets_another_beside_it(h2_world: H2World) -> None:
    """An upstream says how many streams it takes."""
    world, server = h2_world
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    go = threading.Event()

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        go.wait(10)
        reply(peer, number, b"ok")

    server.respond = respond
    peer = client(world)
    numbers = [peer.ask() for _ in range(5)]
    assert eventually(lambda: server.connections == 3)
    go.set()
    assert [peer.answer(number).status for number in numbers] == [200] * 5
    assert server.connections == 3


@pytest.mark.attack
def test_an_upstream_that_takes_no_streams_is_not_asked_for_ever(h2_world: H2World) -> None:
    """One attempt, and an answer that says so."""
    world, server = h2_world
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 0}
    heard = client(world).get()
    assert (502, True) == (heard.status, b"takes no requests" in heard.data)
    assert server.connections == 1


def test_an_upstream_that_takes_fewer_streams_than_it_said(h2_world: H2World) -> None:
    """It is taken at its word, and gets another connection."""
    world, server = h2_world
    first = threading.Event()
    held: list[tuple[Peer, int]] = []

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if not first.is_set():
            peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
            peer.flush()
            first.set()
            held.append((peer, number))
            return
        reply(peer, number, b"ok")
        while held:
            reply(*held.pop(), b"held")

    server.respond = respond
    peer = client(world)
    number = peer.ask()
    assert eventually(first.is_set)
    assert eventually(lambda: links(world)[0]._h2.remote_settings.max_concurrent_streams == 1)
    other = peer.ask()
    assert peer.answer(other).status == 200
    assert peer.answer(number).data == b"held"
    assert server.connections == 2


def test_an_upstream_that_speaks_both_is_spoken_to_as_the_client_speaks(
    certificates: Certificates,
) -> None:
    """HTTP/1.1 to who speaks that, which costs less."""
    server = H2Server(server_context(certificates.world, "h2", "http/1.1"))
    world = World(certificates.authority, certificates.leaves, certificates.upstream, server)
    spoken: list[str | None] = []

    def script(stream: object) -> None:
        alpn = stream.sock.selected_alpn_protocol()  # type: ignore[attr-defined]
        spoken.append(alpn)
        (server.speak if alpn == "h2" else server.serve)(stream)  # type: ignore[arg-type]

    server.script = script
    server.turns_away = False
    try:
        assert world.tunnel().get().status == 200
        assert client(world).get().status == 200
        assert world.tunnel().get().status == 200
        assert spoken == ["http/1.1", "h2"]
    finally:
        world.close()


def test_what_does_not_speak_h2_is_remembered(world: World) -> None:
    """Its connections are kept and shared as others are."""
    for _ in range(3):
        assert client(world).get().status == 200
    assert world.tunnel().get().status == 200
    assert world.server.connections == 1


# ends


@pytest.mark.parametrize("code", [ErrorCodes.NO_ERROR, ErrorCodes.INTERNAL_ERROR])
def test_an_upstream_that_is_going_finishes_what_it_began(h2_world: H2World, code: int) -> None:
    """And the next goes to another connection."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        peer.h2.send_headers(number, [(b":status", b"200")])
        peer.send(number, b"be")
        if peer is server.peers[0]:
            peer.raw(GoAwayFrame(0, last_stream_id=number, error_code=code))
        peer.send(number, b"fore")
        peer.end(number)

    server.respond = respond
    peer = client(world)
    assert peer.get().data == b"before"
    assert eventually(lambda: not links(world))
    assert peer.get().data == b"before"
    assert server.connections == 2


def test_what_a_going_upstream_did_not_take_on_is_asked_again(h2_world: H2World) -> None:
    """By who may be asked twice; not what was sent with a body."""
    world, server = h2_world
    peer = client(world)
    assert peer.get().status == 200

    def respond(other: Peer, number: int, heard: Heard) -> None:
        if other is server.peers[0]:
            other.raw(GoAwayFrame(0, last_stream_id=1))
        else:
            reply(other, number, b"again")

    server.respond = respond
    assert peer.get().data == b"again"
    server.peers.insert(0, server.peers.pop())
    number = peer.ask(method="POST", end=False)
    peer.send(number, b"body", end=True)
    assert peer.answer(number).status == 502


def test_a_stream_an_upstream_refuses_is_asked_again(h2_world: H2World) -> None:
    """As RFC 9113 has it, section 8.7."""
    world, server = h2_world
    peer = client(world)
    assert peer.get().status == 200

    def respond(other: Peer, number: int, heard: Heard) -> None:
        if other is server.peers[0]:
            other.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
        else:
            reply(other, number, b"again")

    server.respond = respond
    assert peer.get().data == b"again"


def test_a_connection_found_closed_is_replaced(h2_world: H2World) -> None:
    """It was closed between two requests."""
    world, server = h2_world
    peer = client(world)
    assert peer.get().status == 200
    server.peers[0].stream.sock.shutdown(socket.SHUT_RDWR)
    assert peer.get().status == 200


def test_an_idle_connection_is_closed(h2_world: H2World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a word; one in use is not."""
    world, server = h2_world
    monkeypatch.setattr(h2_upstream, "IDLE_SECONDS", 0.05)
    peer = client(world)
    assert peer.get().status == 200
    assert eventually(lambda: server.peers[0].goaway == ErrorCodes.NO_ERROR)
    assert eventually(lambda: not links(world))
    assert peer.get().status == 200
    assert server.connections == 2


def test_a_connection_that_has_been_silent_is_not_risked(h2_world: H2World) -> None:
    """What goes on there may go on; what begins, begins elsewhere."""
    world, server = h2_world
    server.respond = lambda peer, number, heard: peer.h2.send_headers(
        number, [(b":status", b"200")]
    )
    peer = client(world)
    first = peer.ask()
    peer.head(first)
    links(world)[0]._heard_at -= h2_upstream.IDLE_SECONDS + 1
    second = peer.ask()
    peer.head(second)
    assert server.connections == 2
    server.peers[0].end(first)
    assert peer.answer(first).ended


def test_an_upstream_that_says_nothing_ends_the_exchange(h2_world: H2World) -> None:
    """In the time every upstream is given; its other streams go on."""
    world, server = h2_world
    world.handed.idle_timeout = 0.3
    server.respond = lambda peer, number, heard: (
        reply(peer, number, b"ok") if heard.headers[b":path"] == b"/ok" else None
    )
    peer = client(world)
    assert peer.get("/silent").status == 504
    assert peer.get("/ok").status == 200
    assert server.connections == 1


def test_a_connection_that_does_not_begin_is_given_up(
    h2_world: H2World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shakes hands, and then says nothing."""
    world, server = h2_world
    monkeypatch.setattr(upstream, "CONNECT_TIMEOUT", 0.3)
    server.script = lambda stream: stream.rest()  # type: ignore[assignment,return-value]
    assert client(world).get().status == 504
    server.script = lambda stream: stream.close()
    assert client(world).get().status == 502


# what is not believed

BROKEN: dict[str, Pairs] = {
    "no status": [(b"x-a", b"1")],
    "two statuses": [(b":status", b"200"), (b":status", b"200")],
    "a status that is none": [(b":status", b"20")],
    "101": [(b":status", b"101")],
    "600": [(b":status", b"600")],
    "a pseudo-header of requests": [(b":status", b"200"), (b":path", b"/")],
    "a status behind a header": [(b"x-a", b"1"), (b":status", b"200")],
    "a line end": [(b":status", b"200"), (b"x-a", b"1\r\nset-cookie: x")],
    "a capital": [(b":status", b"200"), (b"X-A", b"1")],
    "connection": [(b":status", b"200"), (b"connection", b"close")],
    "transfer-encoding": [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
    "two lengths": [(b":status", b"200"), (b"content-length", b"2"), (b"content-length", b"2")],
}


@pytest.mark.attack
@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_that_is_malformed_is_not_passed_on(h2_world: H2World, what: str) -> None:
    """Above all not into HTTP/1.1, where it could become two; others go on."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if heard.headers[b":path"] == b"/ok":
            reply(peer, number, b"ok")
            return
        loose(peer).send_headers(number, BROKEN[what])
        peer.send(number, b"ok", end=True)

    server.respond = respond
    peer = client(world)
    assert peer.get().status == 502
    answer = world.tunnel().get()
    assert (502, []) == (answer.status, answer.all("set-cookie"))
    assert peer.get("/ok").data == b"ok"
    assert {entry.outcome for entry, _ in world.trace(3)} == {"failed", "forwarded"}


def loose(peer: Peer) -> object:
    """The same connection, which checks nothing of what it sends."""
    peer.h2.config.validate_outbound_headers = False
    peer.h2.config.normalize_outbound_headers = False
    return peer.h2


@pytest.mark.attack
@pytest.mark.parametrize("data", [b"1234", b"123456", b""])
def test_an_answer_of_another_length_than_stated_is_cut(h2_world: H2World, data: bytes) -> None:
    """Or what is too much of it would be the next answer, over HTTP/1.1."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if heard.headers[b":path"] == b"/ok":
            reply(peer, number, b"ok")
            return
        fields = [(b":status", b"200"), (b"content-length", b"5")]
        peer.h2.send_headers(number, fields, end_stream=not data)
        if data:
            peer.send(number, data, end=True)

    server.respond = respond
    peer = client(world)
    heard = peer.answer(peer.ask())
    assert heard.reset is not None or heard.status == 502
    tunnel = world.tunnel()
    tunnel.send(post(b""))
    assert tunnel.head().status == 502 or tunnel.is_closed()
    assert b"HTTP/1.1" not in tunnel.buffer
    assert peer.get("/ok").data == b"ok"
    assert len(server.peers) == 1


RULES: dict[str, bytes] = {
    "a push": PushPromiseFrame(
        1, promised_stream_id=2, data=b"\x82\x84\x87", flags=["END_HEADERS"]
    ).serialize(),
    "a stream nobody opened": DataFrame(99, b"x").serialize(),
    "a GOAWAY of a stream": b"\0\0\10\7\0\0\0\0\1" + bytes(8),
    "settings that are cut": b"\0\0\5\4\0\0\0\0\0\0\1\2\3\4",
}


@pytest.mark.attack
@pytest.mark.parametrize("what", RULES)
def test_an_upstream_that_breaks_the_rules_is_left(h2_world: H2World, what: str) -> None:
    """With everything that goes on there; the next go elsewhere."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if len(server.peers) > 1:
            reply(peer, number, b"ok")
        else:
            peer.flush()
            peer.stream.send(RULES[what])

    server.respond = respond
    peer = client(world)
    number = peer.ask(method="POST", end=False)
    peer.send(number, b"x", end=True)
    assert peer.answer(number).status == 502
    assert peer.get().data == b"ok"


@pytest.mark.attack
def test_an_upstream_cannot_make_us_answer_for_ever(h2_world: H2World) -> None:
    """A flood ends the connection from this side too."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        try:
            for _ in range(100):
                peer.stream.send(PingFrame(0, b"12345678").serialize() * 100)
        except OSError:
            pass

    server.respond = respond
    assert client(world).get().status == 502


@pytest.mark.attack
def test_answers_before_the_answer_do_not_pile_up(h2_world: H2World) -> None:
    """No window bounds them, and a client may not read."""
    world, server = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if heard.headers[b":path"] == b"/ok":
            for _ in range(3):
                peer.h2.send_headers(number, [(b":status", b"103")])
            reply(peer, number, b"ok")
            return
        for _ in range(200):
            peer.h2.send_headers(number, [(b":status", b"103"), (b"link", b"x" * 100)])
        peer.flush()

    server.respond = respond
    peer = client(world)
    heard = peer.answer(peer.ask())
    assert heard.headers[b":status"] == b"502"
    assert b"more answers" in heard.data
    assert len(heard.heads) < 100
    assert peer.get("/ok").data == b"ok"


def test_a_reset_after_a_whole_answer_takes_nothing_from_it(h2_world: H2World) -> None:
    """An upstream that wants no more of the request says so."""
    world, server = h2_world
    server.early = True

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        reply(peer, number, b"enough")
        peer.raw(RstStreamFrame(number, ErrorCodes.NO_ERROR))

    server.respond = respond
    peer = client(world)
    number = peer.ask(method="POST", end=False)
    peer.send(number, b"x" * 1000)
    assert peer.answer(number).data == b"enough"
    ((entry, _),) = world.trace(1)
    assert ("forwarded", 200) == (entry.outcome, entry.status)


def test_nothing_is_left_when_a_run_ends(h2_world: H2World) -> None:
    """No connection, no task."""
    world, server = h2_world
    assert client(world).get().status == 200
    (link,) = links(world)
    world.call(world.proxy.close())
    assert link.task.done()
    assert link.down
    assert eventually(lambda: server.peers[0].goaway is not None)
