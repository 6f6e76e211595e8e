"""Bodies and upgraded connections, passed on as they come: nothing waits for more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from moat.engine.messages import Headers
from moat.engine.transform import Transform
from moat.proxy.sides import Body, Outgoing

# How long the other direction may go on once one direction of a tunnel has ended.
_LINGER = 30.0

Count = Callable[[int], None]


def pass_through(transforms: Sequence[Transform], data: bytes, *, end: bool) -> bytes:
    """The next of a body after each of some transforms, one behind the other. Raises Refused."""
    for transform in transforms:
        data = transform.feed(data) if data else b""
        if end:
            data += transform.finish()
    return data


async def copy(
    body: Body,
    sink: Outgoing,
    through: Sequence[Transform],
    count: Count,
    *,
    read: Callable[[], Awaitable[bytes]] | None = None,
    fields: Callable[[Headers], Headers] | None = None,
) -> None:
    """Pass the rest of a body on to its end; `read` waits for more of it, else the body itself
    does; `fields` cleans its trailers.

    Raises WireClosed when one of them ends early, BadMessage or Refused for what is malformed or
    may not go on.
    """
    read = read or body.read
    while not body.ended:
        # Before more is taken, not after: what was read last is on its way, and done.
        if sink.full:
            await sink.drain()
        data = await read()
        count(len(data))
        if through:
            data = pass_through(through, data, end=body.ended)
        if data:
            sink.send(data)
    sink.finish(fields(body.trailers) if fields and body.trailers else body.trailers)


async def tunnel(up: Coroutine[Any, Any, None], down: Coroutine[Any, Any, None]) -> None:
    """Let both directions of an upgraded connection go on until both have ended, or one fails.

    Raises what a direction raised.
    """
    tasks = {asyncio.create_task(up), asyncio.create_task(down)}
    try:
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if rest and not any(task.exception() for task in done):
            done, _ = await asyncio.wait(tasks, timeout=_LINGER)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
