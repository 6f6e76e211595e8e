"""How long an upstream may be silent while a client waits for it."""

from __future__ import annotations

import ssl
import threading
import time

import pytest

from moat.proxy import live
from proxy.support import Client, Stream, World, end_tls, get, reply
from proxy.test_frames import PING, PONG, TEXT, frame
from proxy.test_transfer import SWITCH, websocket

IDLE = 0.3
LONG = 3 * IDLE
SILENT = "https://api.example.com sent nothing for 0.3 s"
BODIES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nhello",
]


@pytest.fixture(autouse=True)
def impatient(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short limit, looked after closely."""
    monkeypatch.setattr(live, "TICK", IDLE / 10)
    world.handed.idle_timeout = IDLE


def assert_given_up(world: World, status: int, error: str = SILENT) -> None:
    ((entry, measured),) = world.trace(1)
    assert ("failed", status, error) == (entry.outcome, entry.status, entry.error)
    assert ("openai",) == entry.grants
    assert measured.duration is not None
    assert IDLE <= measured.duration < LONG


# bodies


def test_a_server_that_does_not_answer_is_given_up(world: World) -> None:
    """504 after the limit, and its connection is closed."""
    closed = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        if stream.is_closed():
            closed.set()

    world.server.script = script
    answer = world.tunnel().get()
    assert (504, "upstream-timeout") == (answer.status, answer.problem["type"].rpartition(":")[2])
    assert closed.wait(5)
    assert_given_up(world, 504, "https://api.example.com sent no answer for 0.3 s")


@pytest.mark.parametrize("raw", BODIES)
def test_a_body_that_stops_is_given_up(world: World, raw: bytes) -> None:
    """The client sees a cut, the server too, and the record says why."""
    closed = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        stream.send(raw)
        if stream.is_closed():
            closed.set()

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    assert 200 == client.head().status
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.rest()
    assert closed.wait(5)
    assert_given_up(world, 200)


@pytest.mark.parametrize(
    ("first", "piece", "last"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"x", b""),
        (BODIES[1], b"1\r\nx\r\n", b"0\r\n\r\n"),
        (BODIES[2], b"x", b""),
    ],
)
def test_a_body_may_take_as_long_as_it_likes(
    world: World, first: bytes, piece: bytes, last: bytes
) -> None:
    """The twin: what comes now and then comes to its end."""

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        stream.send(first)
        for _ in range(6):
            time.sleep(IDLE / 2)
            stream.send(piece)
        stream.send(last)
        end_tls(stream)

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    assert client.answer().body.endswith(b"xxxxxx")
    ((entry, measured),) = world.trace(1)
    assert "forwarded" == entry.outcome
    assert measured.duration is not None
    assert LONG <= measured.duration


def test_a_client_that_does_not_read_is_waited_for(world: World) -> None:
    """It is not the server who is silent."""
    size = 8 << 20
    world.server.answers(reply(b"x" * size))
    client = world.tunnel()
    client.send(get())
    assert 200 == client.head().status
    time.sleep(LONG)
    assert size == len(client.exactly(size))
    assert "forwarded" == world.trace(1)[0][0].outcome


def test_a_client_that_is_still_sending_does_not_wait(world: World) -> None:
    """A body that takes its time on the way up is answered."""
    client = world.tunnel()
    client.send(b"POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 6\r\n\r\n")
    for _ in range(6):
        time.sleep(IDLE / 2)
        client.send(b"x")
    assert 200 == client.answer().status
    assert b"xxxxxx" == world.server.requests[0].body


def test_a_client_that_stops_sending_waits(world: World) -> None:
    """The twin: half a body and no more, and the server is not held for ever."""
    client = world.tunnel()
    client.send(b"POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 6\r\n\r\nxxx")
    assert 504 == client.answer().status


# upgraded connections


def stalled(world: World, *said: bytes, answer: bytes = b"") -> Client:
    """An upgraded connection whose server listens, and says no more than `answer`."""

    def script(stream: Stream) -> None:
        stream.send(SWITCH + answer)
        stream.is_closed()

    client = websocket(world, script)
    for data in said:
        client.send(data)
    return client


@pytest.mark.parametrize(
    "said",
    [
        [frame(TEXT, 5)],
        [frame(TEXT, 70_000)],
        [frame(PING, 0)],
        [frame(PONG, 0) + frame(TEXT, 5)],
        [frame(PONG, 4)[:3], frame(PONG, 4)[3:] + frame(PING, 0)],
    ],
)
def test_a_message_without_an_answer_is_given_up(world: World, said: list[bytes]) -> None:
    """Whoever asked gets a cut, and the record says why."""
    client = stalled(world, *said)
    assert client.is_closed()
    assert_given_up(world, 101)


@pytest.mark.parametrize("said", [[], [frame(PONG, 0)], [frame(PONG, 125)[:50]]])
def test_nobody_waits_between_messages(world: World, said: list[bytes]) -> None:
    """Idleness is normal where nothing was asked; the answer to a ping asks nothing."""
    client = stalled(world, *said)
    assert client.is_silent(LONG)
    client.close()
    assert "forwarded" == world.trace(1)[0][0].outcome


def test_an_answered_message_is_over(world: World) -> None:
    """The server's last byte ends the waiting; the next message begins it anew."""

    def script(stream: Stream) -> None:
        stream.send(SWITCH)
        stream.exactly(len(frame(TEXT, 5)))
        stream.send(b"answer")
        stream.is_closed()

    client = websocket(world, script)
    client.send(frame(TEXT, 5))
    assert b"answer" == client.exactly(6)
    assert client.is_silent(LONG)
    client.send(frame(TEXT, 5))
    assert client.is_closed()
    ((entry, _),) = world.trace(1)
    assert ("failed", SILENT) == (entry.outcome, entry.error)


def test_pings_do_not_keep_a_silent_server(world: World) -> None:
    """A client that pings on and on waits from its first ping."""
    client = stalled(world)
    until = time.monotonic() + LONG
    try:
        while time.monotonic() < until:
            client.send(frame(PING, 0))
            time.sleep(IDLE / 6)
    except OSError:
        pass
    assert_given_up(world, 101)


def test_a_long_message_may_take_its_time(world: World) -> None:
    """Nobody waits before they have said all they have to say."""
    client = stalled(world)
    for byte in frame(TEXT, 10)[:10]:
        client.send(bytes([byte]))
        time.sleep(IDLE / 3)
    assert "open" == world.ledger.rows[1][-1][0].outcome


def test_a_server_that_pings_is_not_silent(world: World) -> None:
    """As long as it is heard of, now and then, it is there."""

    def script(stream: Stream) -> None:
        stream.send(SWITCH)
        for _ in range(8):
            time.sleep(IDLE / 2)
            stream.send(b"\x89\x00")
        stream.is_closed()

    client = websocket(world, script)
    client.send(frame(TEXT, 5))
    assert b"\x89\x00" * 8 == client.exactly(16)


def test_a_client_that_does_not_read_waits_for_nothing(world: World) -> None:
    """What the server has sent is there for it, however late it looks."""
    size = 8 << 20

    def script(stream: Stream) -> None:
        stream.send(SWITCH)
        stream.exactly(len(frame(TEXT, 5)))
        stream.send(b"x" * size)
        stream.is_closed()

    client = websocket(world, script)
    client.send(frame(TEXT, 5))
    time.sleep(LONG)
    client.send(frame(TEXT, 5))
    time.sleep(LONG)
    assert size == len(client.exactly(size))
