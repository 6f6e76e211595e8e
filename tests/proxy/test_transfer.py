"""Bodies and upgraded connections, passed on as they come."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Callable

import pytest

from moat.proxy import switched
from proxy.support import API, Client, Stream, World, end_tls, eventually, get, reply
from proxy.test_upload import wait_until_stalled

UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"


def test_an_event_arrives_before_the_next_is_sent(world: World) -> None:
    """Server-sent events: nothing is held back, whatever the chunks."""
    seen = threading.Semaphore(0)

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        stream.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            event = b"data: %d\n\n" % number
            stream.send(b"%x\r\n%b\r\n" % (len(event), event))
            assert seen.acquire(timeout=5)
        stream.send(b"0\r\n\r\n")
        world.server.serve(stream)

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    assert client.head().status == 200
    for number in range(5):
        assert client.until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
        seen.release()
    assert client.until(b"\r\n\r\n") == b"0\r\n\r\n"
    assert client.get().status == 200
    assert world.server.connections == 1


def test_a_chunked_answer_comes_whole(world: World) -> None:
    """Split anywhere: all of its data and its trailers, and nothing after."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"5;x\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"

    def script(stream: Stream) -> None:
        for cut in range(len(body)):
            world.server.receive(stream)
            stream.send(head + body[:cut])
            stream.send(body[cut:])

    world.server.script = script
    client = world.tunnel()
    for _ in range(len(body)):
        client.send(get())
        answer = client.answer()
        assert (200, b"hello!", b"X-Sum: 1\r\n") == (answer.status, answer.body, answer.trailers)
    assert world.server.connections == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_answer_comes_down_unbuffered(world: World, chunked: bool) -> None:
    """64 MiB arrive unchanged; a client that does not read holds the server back."""
    size, sent, expected, digest = 64 << 20, [0], hashlib.sha256(), hashlib.sha256()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        stream.send(f"HTTP/1.1 200 OK\r\n{how}\r\n\r\n".encode())
        for number in range(size >> 16):
            data = number.to_bytes(4) * (1 << 14)
            expected.update(data)
            stream.send(b"10000\r\n" + data + b"\r\n" if chunked else data)
            sent[0] += len(data)
        if chunked:
            stream.send(b"0\r\n\r\n")
        world.server.serve(stream)

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    assert client.head().status == 200
    assert wait_until_stalled(sent) < size // 2
    if chunked:
        while left := int(client.until(b"\r\n"), 16):
            digest.update(client.exactly(left))
            assert client.exactly(2) == b"\r\n"
        assert client.exactly(2) == b"\r\n"
    else:
        for _ in range(size >> 16):
            digest.update(client.exactly(1 << 16))
    assert expected.digest() == digest.digest()
    assert client.get().status == 200


def test_bytes_that_follow_an_answer_are_no_answer(world: World) -> None:
    """A connection on which the server spoke unasked is not used again."""
    world.server.answers(reply() + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    client = world.tunnel()
    assert client.get().body == b"ok"
    assert client.get().body == b"ok"
    assert world.server.connections == 2


# upgraded connections


def websocket(world: World, script: Callable[[Stream], None], more: bytes = b"") -> Client:
    """An upgraded connection, on the server's side of which a script runs."""

    def serve(stream: Stream) -> None:
        head = stream.until(b"\r\n\r\n")
        assert b"\r\nUpgrade: websocket\r\n" in head
        assert b"\r\nConnection: Upgrade\r\n" in head
        assert b"\r\nAuthorization: Bearer sk-real\r\n" in head
        script(stream)

    world.server.script = serve
    client = world.tunnel()
    client.send(get(more=UPGRADE) + more)
    answer = client.head()
    assert (101, ["websocket"]) == (answer.status, answer.all("upgrade"))
    return client


def test_an_upgrade_becomes_a_tunnel_both_ways(world: World) -> None:
    """Bytes that follow at once, on either side, come first and in order."""

    def script(stream: Stream) -> None:
        stream.send(SWITCH + b"hello ")
        stream.send(b"client")
        assert stream.exactly(12) == b"hello server"
        for _ in range(100):
            stream.send(stream.exactly(1000))
        end_tls(stream)

    client = websocket(world, script, b"hello ")
    client.send(b"server")
    assert client.exactly(12) == b"hello client"
    for number in range(100):
        data = bytes([number]) * 1000
        client.send(data)
        assert client.exactly(1000) == data
    assert client.rest() == b""
    client.close()
    ((entry, measured),) = world.trace(1)
    assert ("forwarded", 101) == (entry.outcome, entry.status)
    assert (100_012, 100_012) == (measured.bytes_up, measured.bytes_down)


def test_a_tunnel_may_be_ended_on_one_side(world: World) -> None:
    """The server ends with close_notify; what the client says afterwards still arrives."""
    got: list[bytes] = []
    ended = threading.Event()

    def script(stream: Stream) -> None:
        stream.send(SWITCH + b"bye")
        stream.sock.settimeout(0.1)
        with pytest.raises((TimeoutError, ssl.SSLError)):
            stream.sock.unwrap()
        stream.sock.settimeout(5)
        ended.set()
        got.append(stream.sock.recv(100))

    client = websocket(world, script)
    assert client.rest() == b"bye"
    assert ended.wait(5)  # OpenSSL takes what comes while it waits for the answer for a fault
    client.send(b"last words")
    assert eventually(lambda: got == [b"last words"])


def test_a_tunnel_that_is_cut_is_seen_as_cut(world: World) -> None:
    """A reset upstream is no orderly end for the client."""

    def script(stream: Stream) -> None:
        stream.send(SWITCH + b"half a mess")
        assert stream.is_silent(0.1)
        stream.reset()

    client = websocket(world, script)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.rest()


def test_a_client_that_leaves_a_tunnel_ends_it(world: World) -> None:
    """The upstream is closed, and the exchange is recorded as done."""
    closed = threading.Event()

    def script(stream: Stream) -> None:
        stream.send(SWITCH)
        if stream.is_closed():
            closed.set()

    client = websocket(world, script)
    client.close()
    assert closed.wait(5)
    assert world.trace(1)[0][0].outcome == "forwarded"


def test_the_other_side_of_a_tunnel_may_not_linger_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once one side has ended, the other has so long and no longer."""
    monkeypatch.setattr(switched, "_LINGER", 0.2)
    client = websocket(world, lambda stream: (stream.send(SWITCH), end_tls(stream))[1])
    assert client.rest() == b""
    assert world.trace(1)[0][0].outcome == "forwarded"


def test_an_upgrade_may_be_refused(world: World) -> None:
    """Any other answer is an answer like any other."""
    world.server.answers(reply(status="400 Bad Request"))
    client = world.tunnel()
    assert client.get(more=UPGRADE).status == 400
    assert client.get().status == 200


@pytest.mark.parametrize(
    "more",
    [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Upgrade: websocket\r\n",
    ],
)
def test_no_other_protocol_is_switched_to(world: World, more: str) -> None:
    """The wish is not passed on: a request in another protocol would meet no policy."""
    assert world.tunnel().get(more=more).status == 200
    assert world.server.requests[0].headers == [("Host", API), ("Authorization", "Bearer sk-real")]


@pytest.mark.parametrize("protocol", [b"h2c", b"", b"websocket, h2c"])
def test_a_switch_to_something_else_is_refused(world: World, protocol: bytes) -> None:
    """The server switches to what was asked for, or to nothing."""
    world.server.answers(
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
    )
    assert world.tunnel().get(more=UPGRADE).status == 502


def test_an_upgrade_with_a_body_is_not_passed_on(world: World) -> None:
    """Two readers of one connection would tear it apart."""
    client = world.tunnel()
    client.send(
        f"POST / HTTP/1.1\r\nHost: {API}\r\n{UPGRADE}Content-Length: 5\r\n\r\nhello".encode()
    )
    assert client.answer().status == 200
    assert world.server.requests[0].all("upgrade") == []
    assert world.server.requests[0].body == b"hello"
