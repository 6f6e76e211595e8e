"""The HTTP/2 connections of one run, each shared by all exchanges that go to its destination."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from moat.core.hosts import Destination
from moat.proxy.h2_upstream import H2Upstream, UpstreamLink
from moat.proxy.wire import Wire

OFFERED = ("h2", "http/1.1")
# A run may go to any number of places; of so many it is remembered that they speak HTTP/1.1.
_MOST_REMEMBERED = 1024

Place = tuple[Destination, bool]
"""Where to, and whether addresses that are not public were meant: nothing else is shared."""
Connect = Callable[[Destination, bool, Sequence[str]], Awaitable[Wire]]
"""Dials a destination, local or not, and offers protocols. Raises UpstreamError."""
Welcome = Callable[[Destination, UpstreamLink], Awaitable[None]]
"""Waits until a new connection is ready for exchanges. Raises UpstreamError."""
Keep = Callable[[Destination, Wire], None]
"""Takes a new connection that turned out to speak HTTP/1.1."""


class H2Pool:
    """Makes connections that are offered HTTP/2, and shares those that speak it."""

    def __init__(self, connect: Connect, welcome: Welcome, keep: Keep) -> None:
        self._connect = connect
        self._welcome = welcome
        self._keep = keep
        self._links: dict[Place, list[UpstreamLink]] = {}
        self._dialling: dict[Place, asyncio.Task[None]] = {}
        self._without: set[Destination] = set()

    async def enter(
        self, destination: Destination, *, local: bool, fresh: bool, switch: bool
    ) -> H2Upstream | None:
        """Begin an exchange; None if the destination speaks HTTP/1.1, or has to, to `switch`
        protocols. With `fresh`, on a connection that was not used before.

        Raises UpstreamError.
        """
        place = destination, local
        while destination not in self._without:
            link = self._find(place, fresh=fresh)
            if link is not None:
                return None if switch and not link.switches else link.enter()
            # Whoever else waits may be quicker, and leave no room; one of them always gets on.
            await asyncio.shield(self._dial(place))
        return None

    def close(self) -> None:
        """End every connection."""
        for task in self._dialling.values():
            task.cancel()
        for link in self._all():
            link.task.cancel()

    async def wait_closed(self) -> None:
        """Wait until every connection has ended."""
        tasks = [*self._dialling.values(), *(link.task for link in self._all())]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _all(self) -> list[UpstreamLink]:
        return [link for links in self._links.values() for link in links]

    def _find(self, place: Place, *, fresh: bool) -> UpstreamLink | None:
        links = self._links.get(place, ())
        return next((link for link in links if link.fit and not (fresh and link.used)), None)

    def _dial(self, place: Place) -> asyncio.Task[None]:
        """The one attempt to connect that all wait for who want to go there now."""
        task = self._dialling.get(place)
        # To wait for one that is over is not to wait: nobody else would ever have a turn.
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._make(place))
            self._dialling[place] = task
            task.add_done_callback(lambda task: self._dialled(place, task))
        return task

    def _dialled(self, place: Place, task: asyncio.Task[None]) -> None:
        if self._dialling.get(place) is task:
            del self._dialling[place]
        if not task.cancelled():
            task.exception()  # those who waited have been told, if any still do

    async def _make(self, place: Place) -> None:
        destination, local = place
        wire = await self._connect(destination, local, OFFERED)
        if wire.alpn != "h2":
            if len(self._without) >= _MOST_REMEMBERED:
                self._without.clear()
            self._without.add(destination)
            self._keep(destination, wire)
            return
        link = UpstreamLink(wire)
        await self._welcome(destination, link)
        self._links.setdefault(place, []).append(link)
        link.task.add_done_callback(lambda _: self._forget(place, link))

    def _forget(self, place: Place, link: UpstreamLink) -> None:
        self._links[place].remove(link)
        if not self._links[place]:
            del self._links[place]
