"""The exchanges that are going on: looked after by one clock, and judged anew when policy changes.

A timer for every wait would cost more than the waiting; one that looks at all of them now and
then is exact enough for limits of seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

# Seconds between two looks: how much later than promised a limit may strike.
TICK = 0.5


class Watched(Protocol):
    """Something that must not wait for ever."""

    def check(self, now: float) -> None:
        """End it if it has waited too long; `now` in the event loop's seconds."""
        ...

    def judge(self) -> None:
        """End it if the policy no longer allows it."""
        ...


class Live:
    """Everything of one proxy that waits for somebody else; `now` is the event loop's clock."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.now: Callable[[], float] = lambda: asyncio.get_running_loop().time()

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, watched: Watched) -> None:
        """Look after it from now on."""
        self._watched.add(watched)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self.now = loop.time
            self._timer = loop.call_later(TICK, self._look)

    def discard(self, watched: Watched) -> None:
        """Look after it no more."""
        self._watched.discard(watched)

    def judge_all(self) -> None:
        """Judge everything by the policy that holds now."""
        for watched in tuple(self._watched):
            watched.judge()

    def _look(self) -> None:
        self._timer = None
        if not self._watched:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK, self._look)
        now = loop.time()
        for watched in tuple(self._watched):
            watched.check(now)
