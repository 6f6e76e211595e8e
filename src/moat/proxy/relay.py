"""Bodies and upgraded connections, passed on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from moat.proxy.chunks import ChunkScanner
from moat.proxy.h1 import Chunked, Framing, Length, UntilClose
from moat.proxy.silence import Turns, UpstreamSilent
from moat.proxy.wire import Wire, WireClosed

# How long the other direction may go on once one direction of a tunnel has ended.
_LINGER = 30.0

Count = Callable[[int], None]
Fill = Callable[[], Awaitable[bool]]


async def relay_body(
    source: Wire,
    sink: Wire,
    framing: Framing,
    count: Count,
    head: bytes = b"",
    fill: Fill | None = None,
) -> None:
    """Pass a body on, after a head; `fill` waits for more of it, else the source itself does.

    Raises WireClosed when it ends early, BadMessage when it is malformed.
    """
    if isinstance(framing, Length) and framing.size <= len(source.buffer):
        # All of it is there: one write, which is one record and one packet.
        data = source.take(framing.size)
        sink.write(head + data)
        count(len(data))
        return
    if head:
        sink.write(head)
    fill = fill or source.fill
    if isinstance(framing, Length):
        await _relay_length(source, sink, fill, framing.size, count)
    elif isinstance(framing, Chunked):
        await _relay_chunks(source, sink, fill, count)
    elif isinstance(framing, UntilClose):
        await _relay_rest(source, sink, fill, lambda data: count(len(data)))
        if source.cut:
            raise WireClosed("the body was cut")


# Each waits for room before it takes more, not after: what was read last is on its way, and done.


async def _relay_length(source: Wire, sink: Wire, fill: Fill, size: int, count: Count) -> None:
    while size:
        await sink.drain()
        if not source.buffer and not await fill():
            raise WireClosed("the body ended early")
        data = source.take(size)
        size -= len(data)
        sink.write(data)
        count(len(data))


async def _relay_chunks(source: Wire, sink: Wire, fill: Fill, count: Count) -> None:
    scanner = ChunkScanner()
    while True:
        await sink.drain()
        whole = scanner.scan(source.buffer)
        if whole:
            sink.write(source.take(whole))
            count(whole)
        if scanner.done:
            return
        if not whole and not await fill():
            raise WireClosed("the body ended early")


async def _relay_rest(
    source: Wire, sink: Wire, fill: Fill, passed: Callable[[bytes], None]
) -> None:
    while True:
        await sink.drain()
        if not source.buffer and not await fill():
            return
        data = source.take()
        sink.write(data)
        passed(data)


async def tunnel(client: Wire, upstream: Wire, up: Count, down: Count, idle: float) -> None:
    """Pass bytes both ways until both sides have ended, or one is gone.

    Raises UpstreamSilent when the client has waited `idle` seconds for an answer.
    """
    turns = Turns(upstream, idle)

    def passed_up(data: bytes) -> None:
        up(len(data))
        turns.said(data)

    def passed_down(data: bytes) -> None:
        down(len(data))
        turns.heard()

    directions = {
        asyncio.create_task(_one_way(client, upstream, passed_up)),
        asyncio.create_task(_one_way(upstream, client, passed_down)),
    }
    watching = asyncio.create_task(turns.watch())
    try:
        done, _ = await asyncio.wait({*directions, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching in done:
            raise UpstreamSilent
        await asyncio.wait(directions, timeout=_LINGER)
    finally:
        for task in (*directions, watching):
            task.cancel()
        await asyncio.gather(*directions, watching, return_exceptions=True)


async def _one_way(source: Wire, sink: Wire, passed: Callable[[bytes], None]) -> None:
    try:
        await _relay_rest(source, sink, source.fill, passed)
    except WireClosed:
        source.abort()
    else:
        if source.cut:
            sink.abort()
        else:
            sink.end()
