"""What happens while nobody looks: a client that hangs up at once, an end that comes late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.engine.placeholder import Placeholder
from moat.engine.policy import Policy
from moat.engine.session import RunSession
from moat.proxy.transfer import Chain, copy
from proxy.h2_support import H2Server, client
from proxy.support import API, Stream, World, eventually, get

HELD = "moat-proxy-injected-gh-0badcafe"


@pytest.fixture(autouse=True)
def placeholder(world: World) -> None:
    """A box holds a placeholder that is for none of the places it is allowed."""
    world.handed.session = replace(
        world.handed.session, placeholders=(Placeholder("gh", HELD),), injections=()
    )


@pytest.mark.attack
@pytest.mark.parametrize("answered", [False, True])
def test_who_hangs_up_at_once_hides_no_alarm(world: World, answered: bool) -> None:
    """The placeholder does not go on, and that it was tried is in the trace."""
    heard: list[bytes] = []

    def script(stream: Stream) -> None:
        heard.append(stream.until(b"\r\n\r\n"))
        if answered:
            stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        while stream.fill():
            pass
        heard.append(bytes(stream.buffer))

    world.server.script = script
    peer = world.tunnel()
    peer.send(b"POST /d HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % API.encode())
    assert eventually(lambda: bool(heard))
    if answered:
        peer.until(b"abc")
    peer.send(b"%x\r\n%b\r\n" % (len(HELD), HELD.encode()))
    peer.sock.close()
    ((entry, _),) = world.trace(1)
    assert entry.alarm is not None
    assert "refused" == entry.outcome
    assert not any(HELD.encode() in each for each in heard)


@pytest.mark.attack
@pytest.mark.parametrize("stated", [(), ((b"content-length", b"0"),)])
def test_trailers_behind_nothing_do_not_go_on(
    h2_world: tuple[World, H2Server], stated: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Nobody looks into them, wherever the length of the body is stated."""
    world, server = h2_world
    world.handed.session = replace(
        world.handed.session, placeholders=(Placeholder("gh", HELD),), injections=()
    )
    peer = client(world)
    number = peer.ask("/d", *stated, method="POST", end=False)
    peer.end(number, [(b"x-note", HELD.encode())])
    assert 200 == peer.answer(number).status
    assert not any(HELD.encode() in repr(heard.trailers).encode() for heard in server.whole)


def test_an_end_that_comes_while_a_connection_is_made_is_one(
    h2_world: tuple[World, H2Server],
) -> None:
    """What was held back of a body goes on all the same."""
    world, server = h2_world
    pattern = HostPattern.parse(API)
    world.allow(API, inject=[Injection("openai", pattern, kind="in-body", placeholder=HELD)])
    connect, ended = world.upstreams.open, asyncio.Event()

    async def slow(*args: Any, **named: Any) -> Any:
        await asyncio.wait_for(ended.wait(), 5)
        return await connect(*args, **named)

    world.upstreams.open = slow  # type: ignore[method-assign]
    peer = client(world)
    number = peer.ask("/token", method="POST", end=False)
    peer.send(number, f"token={HELD}&scope=from".encode())
    # All of that is taken, and a part of it held back, once a connection is asked for.
    assert eventually(lambda: bool(world.keys.asked))
    world.call(asyncio.sleep(0.1))
    peer.end(number)
    peer.flush()
    world.call(asyncio.sleep(0.1))
    world._loop.call_soon_threadsafe(ended.set)
    assert 200 == peer.answer(number).status
    assert b"token=sk-real&scope=from" == server.whole[0].data


class _Holding:
    """Holds all back to the end."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        self._held += data
        return b""

    def finish(self) -> bytes:
        return self._held


def test_an_end_that_comes_while_the_other_side_is_waited_for_is_one() -> None:
    """What is held back goes on when the end is seen, however late."""

    class Body:
        ended = False
        trailers = ()

        async def read(self) -> bytes:
            return b"x" * 40_000

    class Sink:
        full = True
        sent = b""
        over = False

        def send(self, data: bytes) -> None:
            self.sent += data

        async def drain(self) -> None:
            await asyncio.sleep(0)

        def finish(self, _: object = ()) -> None:
            self.over = True

    body, sink = Body(), Sink()

    async def play() -> None:
        def count(_: int) -> None:
            # The end comes just behind what was read, and nobody has seen it yet.
            asyncio.get_running_loop().call_soon(setattr, body, "ended", True)

        await copy(body, sink, Chain([_Holding()]), count)  # type: ignore[arg-type]

    asyncio.run(play())
    assert sink.over
    assert sink.sent
    assert not len(sink.sent) % 40_000


def test_a_question_whose_client_has_gone_is_none(world: World) -> None:
    """Also where it went in order: one may wait for an answer like that, but not for a person."""

    class Asker:
        asked = 0
        over = 0

        async def ask(self, *_: object) -> bool:
            self.asked += 1
            try:
                await asyncio.sleep(60)
            finally:
                self.over += 1
            return True

    asker = Asker()
    world.handed.asker = asker  # type: ignore[assignment]
    world.handed.session = RunSession("0123456789", Policy((), "ask"))
    peer = world.tunnel()
    peer.send(get())
    assert eventually(lambda: asker.asked == 1)
    peer.close()
    assert eventually(lambda: asker.over == 1)
    ((entry, _),) = world.trace(1)
    assert ("refused", "the client went away") == (entry.outcome, entry.error)
