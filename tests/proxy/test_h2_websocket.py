"""WebSocket where HTTP/2 is spoken with the client, with the upstream, or with both (RFC 8441)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest
from h2.settings import SettingCodes

from proxy.conftest import Certificates
from proxy.h2_support import H2Server, Heard, Peer, asked, client, reply, server_context
from proxy.support import API, Stream, World, end_tls, eventually, head_of

H2World = tuple[World, H2Server]
SWITCH = [
    *asked("/chat", method="CONNECT"),
    (b":protocol", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"chat"),
]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the example of RFC 6455, section 1.3
OFFERING = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}


@pytest.fixture
def both(certificates: Certificates) -> Iterator[World]:
    """A proxy in front of a server that speaks HTTP/2, and HTTP/1.1 to who asks for it."""
    server = H2Server(server_context(certificates.world, "h2", "http/1.1"))
    server.turns_away = False
    world = World(certificates.authority, certificates.leaves, certificates.upstream, server)
    try:
        yield world
    finally:
        world.close()


def accept(key: str) -> str:
    """What a server answers to a key."""
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()


def echo_h1(world: World, *, wrong: str = "", status: str = "101 Switching Protocols") -> None:
    """Let the server of HTTP/1.1 switch, and say again what it is told."""

    def script(stream: Stream) -> None:
        raw = stream.until(b"\r\n\r\n")
        if not raw:
            return
        line, headers = head_of(raw)
        values = {name.lower(): value for name, value in headers}
        assert line == "GET /chat HTTP/1.1"
        assert (values["upgrade"], values["connection"]) == ("websocket", "Upgrade")
        word = wrong or accept(values["sec-websocket-key"])
        stream.send(
            f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {word}\r\nSec-WebSocket-Protocol: chat\r\n\r\n".encode()
        )
        while stream.fill():
            stream.send(stream.take(len(stream.buffer)))
        end_tls(stream)

    world.server.script = script


def echo_h2(peer: Peer, number: int, heard: Heard) -> None:
    """Switch, and say again what is told."""
    assert heard.headers[b":method"] == b"CONNECT"
    assert heard.headers[b":protocol"] == b"websocket"
    assert b"sec-websocket-key" not in heard.headers
    peer.h2.send_headers(number, [(b":status", b"200"), (b"sec-websocket-protocol", b"chat")])
    peer.flush()
    said = 0
    while not heard.over:
        peer.until(lambda said=said: len(heard.data) > said or heard.over)
        if heard.reset is None:
            peer.send(number, heard.data[said:])
        said = len(heard.data)
    if heard.ended:
        peer.end(number)


def chat_h2(peer: Peer) -> Heard:
    """Switch, talk, and end, over HTTP/2."""
    number = peer.ask_with(SWITCH, end=False)
    heard = peer.head(number)
    assert heard.status == 200, heard
    assert b"sec-websocket-accept" not in heard.headers
    assert heard.headers[b"sec-websocket-protocol"] == b"chat"
    for word in (b"one", b"two" * 50000):
        before = len(heard.data)
        peer.send(number, word)
        peer.until(lambda before=before, word=word: len(heard.data) == before + len(word))
        assert heard.data[before:] == word
    peer.end(number)
    return peer.answer(number)


def chat_h1(world: World) -> None:
    """Switch, talk, and end, over HTTP/1.1."""
    tunnel = world.tunnel()
    tunnel.send(
        f"GET /chat HTTP/1.1\r\nHost: {API}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = tunnel.head()
    assert (101, [ACCEPT]) == (answer.status, answer.all("sec-websocket-accept"))
    tunnel.send(b"one")
    assert tunnel.exactly(3) == b"one"


def test_it_is_offered(h2_world: H2World) -> None:
    """By the first words of the connection."""
    world, _ = h2_world
    peer = client(world)
    peer.get()
    assert peer.h2.remote_settings.enable_connect_protocol == 1


def test_from_h2_to_h1(world: World) -> None:
    """A key is made, which no client of HTTP/2 sends."""
    echo_h1(world)
    assert chat_h2(client(world)).ended
    ((entry, measured),) = world.trace(1)
    assert ("GET", "forwarded", 101) == (entry.method, entry.outcome, entry.status)
    assert (150003, 150003) == (measured.bytes_up, measured.bytes_down)


def test_from_h2_to_h2(h2_world: H2World) -> None:
    """To an upstream that offers it, on a stream."""
    world, server = h2_world
    server.settings = OFFERING
    server.early = True
    server.respond = echo_h2
    assert chat_h2(client(world)).ended
    ((entry, _),) = world.trace(1)
    assert ("GET", "forwarded", 101) == (entry.method, entry.outcome, entry.status)
    assert list(server.of(b"authorization")) == [[b"Bearer sk-real"]]


def test_from_h1_to_h2(h2_world: H2World) -> None:
    """The client's key is answered by us."""
    world, server = h2_world
    server.settings = OFFERING
    server.early = True
    server.respond = echo_h2
    chat_h1(world)


def test_an_upstream_that_speaks_both_and_does_not_offer_it_is_asked_in_h1(both: World) -> None:
    """As most are; over a connection of its own."""
    world = both
    echo_h1(world)
    upstream = world.server
    assert isinstance(upstream, H2Server)
    plain = upstream.script

    def script(stream: Stream) -> None:
        spoken.append(stream.sock.selected_alpn_protocol())  # type: ignore[attr-defined]
        (upstream.speak if spoken[-1] == "h2" else plain)(stream)

    spoken: list[str] = []
    upstream.script = script
    assert chat_h2(client(world)).ended
    assert spoken == ["h2", "http/1.1"]


def test_an_upstream_of_h2_alone_that_does_not_offer_it_says_no(h2_world: H2World) -> None:
    """To a client of HTTP/1.1 it may answer as if it had been asked for nothing."""
    world, server = h2_world
    server.respond = lambda peer, number, heard: reply(peer, number, b"no", status=426)
    tunnel = world.tunnel()
    tunnel.send(
        f"GET /chat HTTP/1.1\r\nHost: {API}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\n\r\n".encode()
    )
    assert tunnel.answer().status == 426
    assert client(world).answer_to(SWITCH).status == 426
    assert [[b"GET"], [b"GET"]] == list(server.of(b":method"))


@pytest.mark.attack
def test_a_success_that_switches_nothing_is_none(h2_world: H2World) -> None:
    """Or a client of HTTP/2 would take what follows for the protocol it asked for."""
    world, server = h2_world
    server.respond = lambda peer, number, heard: reply(peer, number, b"page")
    assert client(world).answer_to(SWITCH).status == 502


@pytest.mark.attack
def test_a_success_of_h1_that_switches_nothing_is_none(world: World) -> None:
    """Not even with the words of one."""
    echo_h1(world, status="200 OK")
    assert client(world).answer_to(SWITCH).status == 502


@pytest.mark.attack
def test_a_switch_for_another_key_is_refused(world: World) -> None:
    """It does not answer this request, and so perhaps none."""
    echo_h1(world, wrong=ACCEPT)
    assert client(world).answer_to(SWITCH).status == 502


def test_a_refusal_is_passed_on(world: World) -> None:
    """As any answer."""
    world.server.answers(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    heard = client(world).answer_to(SWITCH)
    assert (403, b"no") == (heard.status, heard.data)


@pytest.mark.attack
def test_nothing_is_passed_on_before_the_switch(h2_world: H2World) -> None:
    """What a client sends too early is no message yet."""
    world, server = h2_world
    server.settings = OFFERING
    server.early = True
    server.respond = lambda peer, number, heard: None
    peer = client(world)
    number = peer.h2.get_next_available_stream_id()
    peer.h2.send_headers(number, SWITCH)
    peer.send(number, b"early")
    assert eventually(lambda: bool(server.whole))
    server.respond = lambda peer, number, heard: reply(peer, number, b"ok")
    assert peer.get().status == 200
    assert server.whole[0].data == b""


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_cut_on_one_side_is_one_on_the_other(h2_world: H2World, who: str) -> None:
    """And not an end."""
    world, server = h2_world
    server.settings = OFFERING
    server.early = True

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        peer.h2.send_headers(number, [(b":status", b"200")])
        if who == "server":
            peer.flush()
            peer.h2.reset_stream(number, 2)

    server.respond = respond
    peer = client(world)
    number = peer.ask_with(SWITCH, end=False)
    heard = peer.head(number)
    if who == "client":
        peer.h2.reset_stream(number, 8)
        peer.flush()
        assert eventually(lambda: server.whole[0].reset is not None)
    else:
        assert peer.answer(number).reset is not None
        assert not heard.ended
