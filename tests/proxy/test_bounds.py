"""What somebody could make the proxy hold, do again and again, or ask twice."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import cast

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import ContinuationFrame, HeadersFrame

from moat.core.secret import Secret
from moat.engine.clean import cleaner_for
from moat.engine.messages import Response
from moat.engine.policy import Policy
from moat.engine.session import RunSession
from moat.engine.spellings import Spellings
from moat.engine.transform import Refused
from moat.engine.websocket import FrameScrubber
from moat.proxy import server, upstream
from moat.proxy.h1 import BadMessage
from moat.proxy.h1_body import MOST_AT_ONCE, ChunkedBody
from moat.proxy.h2_frames import FrameReader
from moat.proxy.sides import Outgoing
from moat.proxy.transfer import Chain, pass_in_pieces
from moat.proxy.wire import Wire
from proxy.h2_support import H2Server, client
from proxy.support import API, Server, World, reply
from proxy.tape import Tape, head


@pytest.mark.attack
@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nX: 1\n"], ids=["first-line", "field"]
)
def test_a_head_with_a_bare_LF_is_not_waited_for(world: World, begun: bytes) -> None:
    """It cannot become one any more."""
    client = world.tunnel()
    client.send(begun)
    assert 400 == client.answer().status


@pytest.mark.attack
def test_a_chunk_with_a_bare_LF_is_not_waited_for(world: World) -> None:
    """Neither can it."""
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(head("POST / HTTP/1.1", f"Host: {API}", "Transfer-Encoding: chunked") + b"5\nhello")
    assert 400 == client.answer().status
    assert not tape.heard


@pytest.mark.attack
def test_requests_given_up_at_once_are_counted(h2_world: tuple[World, H2Server]) -> None:
    """Rapid reset, and never so many at once that this alone would be too much."""
    world, _ = h2_world
    peer = client(world)
    for batch in range(1, 21):
        for _ in range(40):
            number = peer.ask()
            peer.h2.reset_stream(number, ErrorCodes.CANCEL)
        peer.h2.ping(b"12345678")
        peer.flush()
        peer.until(lambda batch=batch: peer.goaway is not None or peer.pings == batch)  # type: ignore[misc]
        if peer.goaway is not None:
            break
    assert ErrorCodes.ENHANCE_YOUR_CALM == peer.goaway
    assert len(world.ledger.rows) < 500


@pytest.mark.attack
def test_a_block_of_few_large_frames_is_bounded() -> None:
    """It is put together before anybody sees what is in it."""
    part = ContinuationFrame(1, b"\0" * 16000).serialize()
    reader = FrameReader(preface=False)
    list(reader.feed(HeadersFrame(1, b"\0" * 16000).serialize()))
    with pytest.raises(BadMessage):
        list(reader.feed(part * 4))


@pytest.mark.attack
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_open_to_all_is_not_open_inwards(world: World, scheme: str) -> None:
    """A policy that lets everything through names no service of this machine."""
    world.handed.session = RunSession("0123456789", Policy((), "permissive"))
    world.upstreams._connect_to.clear()
    place = f"127.0.0.1:{world.plain.port}"
    client = world.client() if scheme == "http" else world.tunnel(place)
    answer = client.get(f"http://{place}/" if scheme == "http" else "/", place)
    assert (403, "urn:moat:problem:address-refused") == (answer.status, answer.problem["type"])
    assert world.untouched()


@pytest.mark.attack
def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leads elsewhere by then."""

    async def look_up(host: str, port: int) -> list[str]:
        return ["127.0.0.2"]

    monkeypatch.setattr(upstream, "_look_up", look_up)
    checked = Elsewhere(("127.0.0.2", world.plain.port))
    place = f"localhost:{world.plain.port}"
    world.allow(place)
    try:
        assert b"ok" == world.client().get(f"http://{place}/", place).body
        assert 1 == checked.connections
        assert 0 == world.plain.connections
    finally:
        checked.close()


class Elsewhere(Server):
    """A server at another address of this machine."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self._listener = socket.create_server(address)
        self.answers(reply())
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()


@pytest.mark.attack
def test_early_answers_are_bounded(world: World) -> None:
    """A server that never comes to the point keeps nobody for ever."""
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    for count, status in ((100, 200), (101, 502)):
        world.server.answers(early * count + reply(), close=True)
        client = world.tunnel()
        client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % API.encode())
        seen = {client.head().status for _ in range(100)}
        assert {103} == seen
        assert status == client.answer().status


@pytest.mark.attack
def test_tiny_chunks_are_read_a_few_at_a_time() -> None:
    """Others wait meanwhile."""
    wire = Wire()
    wire.data_received(b"1\r\nx\r\n" * 1000)
    body = ChunkedBody(wire)
    assert 0 < len(body.take()) <= MOST_AT_ONCE
    assert wire.buffer


@pytest.mark.attack
def test_others_have_their_turn_while_something_is_looked_through() -> None:
    """Between one piece and the next."""
    turns: list[str] = []

    class Slow:
        full = False

        def feed(self, data: bytes) -> bytes:
            turns.append("piece")
            time.sleep(0.002)
            return data

        def finish(self) -> bytes:
            return b""

        def send(self, data: bytes) -> None: ...

    async def other() -> None:
        turns.append("other")

    async def both() -> None:
        task = asyncio.create_task(other())
        slow = Slow()
        await pass_in_pieces(Chain([slow]), bytes(300), cast(Outgoing, slow), piece=100, end=True)
        await task

    asyncio.run(both())
    assert ["piece", "other", "piece", "piece"] == turns


@pytest.mark.attack
def test_what_unpacks_is_looked_through_in_pieces_that_stay_small() -> None:
    """Looking through one takes no longer than through a plain one of twice the usual size."""
    secrets = [Secret("sk-real-7f3a9c1e5b2d8064")]
    plain = cleaner_for(Response(200, (), body=None), secrets)[1]
    packed = cleaner_for(Response(200, ((b"Content-Encoding", b"gzip"),), body=None), secrets)[1]
    assert plain is not None
    assert packed is not None
    assert packed.piece * 200 <= 1 << 20
    assert plain.piece <= 16 * 1024


@pytest.mark.attack
def test_a_stranger_gets_less_time_than_a_box(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has not shown the token holds a place that others want."""
    world.handed.token = Secret("0123456789abcdef0123456789abcdef")
    monkeypatch.setattr(server, "STRANGER_TIMEOUT", 0.2)
    client = world.client()
    assert client.is_closed()


@pytest.mark.attack
def test_frames_that_wait_are_bounded() -> None:
    """A server that says the first letter of a key, and then nothing in many frames."""
    scrubber = FrameScrubber(Spellings.of([Secret("sk-real-7f3a9c1e5b2d8064")]))
    scrubber.feed(b"\x01\x01s")
    with pytest.raises(Refused):
        scrubber.feed(b"\0\0" * 100_000)
