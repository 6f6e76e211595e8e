"""Connections that have switched protocols: what each side says is passed on to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from moat.engine.problem import Problem
from moat.engine.transform import Cleaner, Refused, Transform
from moat.proxy.sides import ClientSide, UpstreamSide
from moat.proxy.silence import Turns
from moat.proxy.transfer import Chain, Count, pass_in_pieces
from moat.proxy.wire import WireClosed

# How long the other direction may go on once one direction has ended.
_LINGER = 30.0


class Switched:
    """Both directions of one connection; `read` waits for more of the upstream's.

    `turns` is told who has said something, by the clock `now`; the counts are told how many bytes.
    `refused` is why it ended, if it was for that: who hangs up right then must not hide it.
    """

    refused: Problem | None = None

    def __init__(
        self,
        client: ClientSide,
        upstream: UpstreamSide,
        *,
        read: Callable[[], Awaitable[bytes]],
        turns: Turns,
        now: Callable[[], float],
        count_up: Count,
        count_down: Count,
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._read = read
        self._turns = turns
        self._now = now
        self._count_up = count_up
        self._count_down = count_down

    async def run(self, watching: Transform | None, cleaner: Cleaner | None) -> None:
        """Pass on until both have ended, or one is cut; what comes up goes through `watching`,
        what comes down through `cleaner`. Raises Refused."""
        await _both(self._noting(self._up(watching)), self._noting(self._down(cleaner)))

    async def _noting(self, direction: Coroutine[Any, Any, None]) -> None:
        try:
            await direction
        except Refused as refused:
            self.refused = refused.problem
            raise

    async def _up(self, watching: Transform | None) -> None:
        chain = Chain(() if watching is None else (watching,))
        body, upstream = self._client.body, self._upstream
        try:
            while not body.ended:
                if upstream.full:
                    await upstream.drain()
                data = await body.read()
                self._count_up(len(data))
                self._turns.said(data, self._now())
                if data := chain.feed(data, end=body.ended):
                    upstream.send(data)
            if rest := chain.rest():
                upstream.send(rest)
            upstream.finish()
        except WireClosed:
            self._cut()

    async def _down(self, cleaner: Cleaner | None) -> None:
        chain = Chain(() if cleaner is None else (cleaner,))
        body, client = self._upstream.body, self._client
        try:
            while not body.ended:
                if client.full:
                    await client.drain()
                data = await self._read()
                self._count_down(len(data))
                self._turns.heard()
                if cleaner is not None:
                    await pass_in_pieces(chain, data, client, piece=cleaner.piece, end=body.ended)
                elif data:
                    client.send(data)
            if rest := chain.rest():
                client.send(rest)
            client.finish()
        except WireClosed:
            self._cut()

    def _cut(self) -> None:
        """A cut on one side is one on the other."""
        self._upstream.abort()
        self._client.abort()


async def _both(up: Coroutine[Any, Any, None], down: Coroutine[Any, Any, None]) -> None:
    """Let both directions go on until both have ended, or one fails.

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
