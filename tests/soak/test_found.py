"""What soaks have found, made small."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fuzz.memory import Line
from moat.core.hosts import Destination
from moat.proxy.h2_pool import H2Pool
from moat.proxy.h2_upstream import H2Upstream, UpstreamLink
from moat.proxy.wire import Wire

THERE = Destination("https", "grpc.example.com", 443)


class _H2Wire(Wire):
    """A connection on which HTTP/2 was agreed on. Where nobody ever waits, the loop goes on
    without end: so it is counted how often the connection is looked at."""

    looks = 0

    @property
    def alpn(self) -> str:
        return "h2"

    @property
    def lost(self) -> bool:
        self.looks += 1
        if self.looks > 1000:
            raise RuntimeError("looked at again and again, and nobody else has a turn")
        return super().lost


def test_a_fresh_connection_is_taken_by_somebody_quicker() -> None:
    """Two want a new connection just as one is there: the first has it, the other gets another."""

    async def play() -> list[H2Upstream | None]:
        dialled = asyncio.Event()

        async def connect(_: Destination, __: bool, ___: Sequence[str]) -> Wire:
            await dialled.wait()
            wire = _H2Wire()
            Line(wire)
            return wire

        async def welcome(_: Destination, __: UpstreamLink) -> None:
            pass

        pool = H2Pool(connect, welcome, lambda _, __: None)

        def enter(*, fresh: bool) -> asyncio.Task[H2Upstream | None]:
            return asyncio.create_task(pool.enter(THERE, local=False, fresh=fresh, switch=False))

        first = enter(fresh=False)
        for _ in range(5):
            await asyncio.sleep(0)
        # In one round of the loop the attempt ends, and two more come who did not wait for it.
        dialled.set()
        others = [enter(fresh=False), enter(fresh=True)]
        try:
            return await asyncio.gather(first, *others)
        finally:
            pool.close()
            await pool.wait_closed()

    first, second, fresh = asyncio.run(play())
    assert None not in (first, second, fresh)
    assert fresh is not None
    assert not fresh.reused
