"""Bodies of requests on their way up."""

from __future__ import annotations

import hashlib
import threading

import pytest

from proxy.support import API, Stream, World, eventually, get, post, reply

CHUNKED = f"POST / HTTP/1.1\r\nHost: {API}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def test_a_body_is_passed_on_as_it_comes(world: World) -> None:
    """The first half is read upstream before the second is sent."""
    first_half = threading.Event()

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        assert stream.exactly(5) == b"hello"
        first_half.set()
        assert stream.exactly(5) == b"world"
        stream.send(reply())

    world.server.script = script
    client = world.tunnel()
    client.send(post(b"helloworld")[:-5])
    assert first_half.wait(5)
    client.send(b"world")
    assert client.answer().status == 200
    assert world.trace(1)[0][1].bytes_up == 10


def test_chunks_and_trailers_arrive_whole(world: World) -> None:
    """Byte by byte: framed anew, with nothing lost or added."""
    body = b"5;x=y\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX-Sum: abc\r\n\r\n"
    got = []

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        got.append(stream.chunked())
        stream.send(reply())
        world.server.serve(stream)

    world.server.script = script
    world.allow(API, inject=())
    client = world.tunnel()
    for byte in CHUNKED + body:
        client.send(bytes([byte]))
    assert client.answer().status == 200
    assert got == [(b"hello0123456789", b"X-Sum: abc\r\n")]
    assert client.get().status == 200


def test_no_trailers_go_where_a_credential_goes(world: World) -> None:
    """Some servers take them for headers: what is stripped there must not come behind the body."""
    got = []

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        got.append(stream.chunked())
        stream.send(reply())

    world.server.script = script
    client = world.tunnel()
    client.send(CHUNKED + b"5\r\nhello\r\n")
    assert eventually(lambda: world.server.connections == 1)
    client.send(b"0\r\nX-Api-Key: mine\r\n\r\n")
    assert client.answer().status == 200
    assert got == [(b"hello", b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nhello",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nAuthorization: mine\r\n\r\n",
        b"5\r\nhello\r\nGET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_malformed_body_is_never_finished(world: World, body: bytes) -> None:
    """The upstream sees a cut and no end, the client 400; what follows is no request."""
    seen = []

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        try:
            stream.rest()
        finally:
            seen.append(stream.buffer)

    world.server.script = script
    client = world.tunnel()
    client.send(CHUNKED + b"1\r\n!\r\n")
    assert eventually(lambda: world.server.connections == 1)
    client.send(body + get("/smuggled"))
    answer = client.answer()
    assert (400, "urn:moat:problem:bad-request") == (answer.status, answer.problem["type"])
    assert client.rest() == b""
    assert eventually(lambda: bool(seen))
    assert not seen[0].endswith(b"0\r\n\r\n")
    assert b"smuggled" not in seen[0]
    ((entry, _),) = world.trace(1)
    assert ("failed", 400) == (entry.outcome, entry.status)
    assert world.server.connections == 1


def test_a_body_that_is_malformed_at_once_goes_nowhere(world: World) -> None:
    """What is seen to be wrong before anything was sent, is not sent."""
    client = world.tunnel()
    client.send(CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n" + get("/smuggled"))
    assert client.answer().status == 400
    assert client.rest() == b""
    assert world.untouched()


def test_an_early_answer_is_delivered_while_the_client_still_sends(world: World) -> None:
    """413 comes at once; the client reads it although it has not finished, and then the end."""

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        stream.send(reply(b"too much", status="413 Too Large", more="Connection: close\r\n"))
        stream.is_closed()

    world.server.script = script
    client = world.tunnel()
    client.send(post(b"x" * 10_000_000)[:500_000])
    answer = client.answer()
    assert (413, b"too much", ["close"]) == (answer.status, answer.body, answer.all("connection"))
    client.send(b"x" * 500_000)
    assert client.rest() == b""
    assert world.trace(1)[0][0].outcome == "forwarded"


def test_a_client_that_sends_everything_before_it_reads_gets_an_early_answer(
    world: World,
) -> None:
    """What it still sends is read and dropped, so that no reset takes the answer away."""

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        stream.send(reply(b"too much", status="413 Too Large", more="Connection: close\r\n"))
        stream.is_closed()

    world.server.script = script
    client = world.tunnel()
    client.send(post(b"x" * 8_000_000))
    assert client.answer().body == b"too much"
    assert client.rest() == b""


def test_what_follows_an_unfinished_body_is_no_request(world: World) -> None:
    """An upstream that hangs up in the middle leaves the rest of the body unread."""

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        stream.reset()

    world.server.script = script
    client = world.tunnel()
    client.send(post(b"x" * 1000)[:-900])
    answer = client.answer()
    assert (502, ["close"]) == (answer.status, answer.all("connection"))
    client.send(get("/smuggled") * 20)
    assert client.rest() == b""
    assert len(world.trace(1)) == 1


def test_a_client_that_ends_inside_its_body_is_told(world: World) -> None:
    """Plain HTTP, half-closed too early: 400, and the upstream sees a cut."""
    import socket

    closed = threading.Event()
    world.plain.script = lambda stream: (
        stream.until(b"\r\n\r\n"),
        stream.is_closed() and closed.set(),
    )[0]
    client = world.client()
    raw = post(b"hello").replace(b"POST /", f"POST http://{API}/".encode())
    client.send(raw[:-2])
    client.sock.shutdown(socket.SHUT_WR)
    answer = client.answer()
    assert (400, "the body of the request ended early") == (
        answer.status,
        answer.problem["detail"],
    )
    assert closed.wait(5)


def test_a_large_body_goes_up_unbuffered(world: World) -> None:
    """64 MiB arrive unchanged; a server that does not read holds the client back."""
    size, read, sent = 64 << 20, threading.Event(), [0]
    digest, expected = hashlib.sha256(), hashlib.sha256()

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        read.wait(20)
        left = size
        while left:
            if not stream.buffer:
                assert stream.fill()
            data = stream.take(len(stream.buffer))
            digest.update(data)
            left -= len(data)
        stream.send(reply())

    world.server.script = script
    client = world.tunnel()
    client.send(f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: {size}\r\n\r\n".encode())

    def feed() -> None:
        for number in range(size >> 16):
            data = number.to_bytes(4) * (1 << 14)
            expected.update(data)
            client.send(data)
            sent[0] += len(data)

    thread = threading.Thread(target=feed)
    thread.start()
    stalled = wait_until_stalled(sent)
    read.set()
    thread.join(30)
    assert client.answer().status == 200
    assert stalled < size // 2
    assert expected.digest() == digest.digest()
    assert world.trace(1)[0][1].bytes_up == size


def wait_until_stalled(count: list[int]) -> int:
    """Wait until a count stands still, and give it back."""
    import time

    before = -1
    while count[0] != before or before == 0:
        before = count[0]
        time.sleep(0.3)
    return before
