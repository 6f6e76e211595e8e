"""Bodies, passed on as they come: nothing waits for more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from moat.engine.messages import Headers
from moat.engine.transform import Transform
from moat.proxy.sides import Body, Outgoing

# What is looked into at once, in bytes; for how many seconds that goes on before others have their
# turn, and how many rounds of what needs no waiting.
PIECE = 16 * 1024
_LONGEST = 0.001
_TURN = 16

Count = Callable[[int], None]


class Chain:
    """Transforms one body goes through, one behind the other. `finished` says that its end has:
    it may come while nobody looks, and what is held back must not stay behind."""

    def __init__(self, transforms: Sequence[Transform] = ()) -> None:
        self._transforms = transforms
        self.finished = not transforms

    def __bool__(self) -> bool:
        """Whether there is anything to go through."""
        return bool(self._transforms)

    def feed(self, data: bytes, *, end: bool) -> bytes:
        """What can go on, these bytes being the next, and the last with `end`. Raises Refused."""
        for transform in self._transforms:
            data = transform.feed(data) if data else b""
            if end:
                data += transform.finish()
        self.finished = self.finished or end
        return data

    def rest(self) -> bytes:
        """What was held back, once the body has ended; nothing the second time. Raises Refused."""
        return b"" if self.finished else self.feed(b"", end=True)


async def pass_in_pieces(
    chain: Chain, data: bytes, sink: Outgoing, *, piece: int, end: bool
) -> None:
    """Send the next of a body after some transforms, no more than `piece` bytes of it at a time,
    and with others having their turn in between. Raises Refused, or WireClosed."""
    ready: list[bytes] = []
    since = monotonic()
    for start in range(0, max(len(data), 1), piece):
        if start and monotonic() - since > _LONGEST:
            sink.send(b"".join(ready))
            ready.clear()
            await asyncio.sleep(0)  # others are waiting
            if sink.full:
                await sink.drain()
            since = monotonic()
        last = end and start + piece >= len(data)
        ready.append(chain.feed(data[start : start + piece], end=last))
    if out := ready[0] if len(ready) == 1 else b"".join(ready):
        sink.send(out)


async def copy(
    body: Body,
    sink: Outgoing,
    chain: Chain,
    count: Count,
    *,
    read: Callable[[], Awaitable[bytes]] | None = None,
    fields: Callable[[Headers], Headers] | None = None,
    piece: int = PIECE,
) -> None:
    """Pass the rest of a body on to its end; `read` waits for more of it, else the body itself
    does; `fields` cleans its trailers.

    Raises WireClosed when one of them ends early, BadMessage or Refused for what is malformed or
    may not go on.
    """
    read = read or body.read
    rounds = 0
    while not body.ended:
        rounds += 1
        if rounds % _TURN == 0:
            await asyncio.sleep(0)  # what is there already is read without waiting
        # Before more is taken, not after: what was read last is on its way, and done.
        if sink.full:
            await sink.drain()
        data = await read()
        count(len(data))
        if chain:
            await pass_in_pieces(chain, data, sink, piece=piece, end=body.ended)
        elif data:
            sink.send(data)
    if rest := chain.rest():
        sink.send(rest)
    sink.finish(fields(body.trailers) if fields and body.trailers else body.trailers)
