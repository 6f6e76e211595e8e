"""Bodies and upgraded connections, passed on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from moat.proxy.chunks import ChunkScanner
from moat.proxy.h1 import Chunked, Framing, Length, UntilClose
from moat.proxy.wire import Wire, WireClosed

# How long the other direction may go on once one direction of a tunnel has ended.
_LINGER = 30.0

Count = Callable[[int], None]


async def relay_body(
    source: Wire, sink: Wire, framing: Framing, count: Count, head: bytes = b""
) -> None:
    """Pass a body on, after a head. Raises WireClosed when it ends early, BadMessage when it is
    malformed."""
    if isinstance(framing, Length) and framing.size <= len(source.buffer):
        # All of it is there: one write, which is one record and one packet.
        data = source.take(framing.size)
        sink.write(head + data)
        count(len(data))
        return
    if head:
        sink.write(head)
    if isinstance(framing, Length):
        await _relay_length(source, sink, framing.size, count)
    elif isinstance(framing, Chunked):
        await _relay_chunks(source, sink, count)
    elif isinstance(framing, UntilClose):
        await _relay_rest(source, sink, count)
        if source.cut:
            raise WireClosed("the body was cut")


# Each waits for room before it takes more, not after: what was read last is on its way, and done.


async def _relay_length(source: Wire, sink: Wire, size: int, count: Count) -> None:
    while size:
        await sink.drain()
        if not source.buffer and not await source.fill():
            raise WireClosed("the body ended early")
        data = source.take(size)
        size -= len(data)
        sink.write(data)
        count(len(data))


async def _relay_chunks(source: Wire, sink: Wire, count: Count) -> None:
    scanner = ChunkScanner()
    while True:
        await sink.drain()
        whole = scanner.scan(source.buffer)
        if whole:
            sink.write(source.take(whole))
            count(whole)
        if scanner.done:
            return
        if not whole and not await source.fill():
            raise WireClosed("the body ended early")


async def _relay_rest(source: Wire, sink: Wire, count: Count) -> None:
    while True:
        await sink.drain()
        if not source.buffer and not await source.fill():
            return
        data = source.take()
        sink.write(data)
        count(len(data))


async def tunnel(client: Wire, upstream: Wire, up: Count, down: Count) -> None:
    """Pass bytes both ways until both sides have ended, or one is gone."""
    directions = {
        asyncio.create_task(_one_way(client, upstream, up)),
        asyncio.create_task(_one_way(upstream, client, down)),
    }
    try:
        _, rest = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        if rest:
            await asyncio.wait(rest, timeout=_LINGER)
    finally:
        for task in directions:
            task.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


async def _one_way(source: Wire, sink: Wire, count: Count) -> None:
    try:
        await _relay_rest(source, sink, count)
    except WireClosed:
        source.abort()
    else:
        if source.cut:
            sink.abort()
        else:
            sink.end()
