"""How long an upstream may be silent while a client waits for it.

A client waits once it has said what it had to say: while it still sends a body or a message, no
silence counts. Between the messages of an upgraded connection nobody waits, however long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from moat.proxy.frames import PONG, FrameScanner, is_data
from moat.proxy.wire import Wire

# The longest that clients of model APIs are patient of themselves.
IDLE_TIMEOUT = 600.0

T = TypeVar("T")


class UpstreamSilent(Exception):
    """The upstream has sent nothing for too long."""


class Patience:
    """Waits for what comes from the upstream; `sent` counts the bytes that went to it."""

    def __init__(self, seconds: float, sent: Callable[[], int]) -> None:
        self._seconds = seconds
        self._sent = sent

    async def wait(self, arrival: Callable[[], Awaitable[T]]) -> T:
        """What arrives; asked for again when it was interrupted. Raises UpstreamSilent."""
        while True:
            before = self._sent()
            try:
                async with asyncio.timeout(self._seconds):
                    return await arrival()
            except TimeoutError:
                if self._sent() == before:
                    raise UpstreamSilent from None


class Turns:
    """Whose turn it is on an upgraded connection: the upstream's, once the client has asked.

    A ping asks for its pong, but a pong for nothing. While a message is on its way up, the client
    does not wait yet; pings on top of it do not make it wait anew.
    """

    def __init__(self, upstream: Wire, seconds: float) -> None:
        self._upstream = upstream
        self._seconds = seconds
        self._clock = asyncio.get_running_loop().time
        self._frames = FrameScanner()
        self._waiting_since: float | None = None

    def said(self, data: bytes) -> None:
        """The client has sent these bytes."""
        opcodes = self._frames.scan(data)
        if any(map(is_data, opcodes)) or (self._waiting_since is None and opcodes - {PONG}):
            self._waiting_since = self._clock()

    def heard(self) -> None:
        """The upstream has sent something."""
        self._waiting_since = None

    async def watch(self) -> None:
        """Return once the client has waited too long."""
        while True:
            if self._upstream.buffer:
                self.heard()  # it is the client that does not read
            since = self._waiting_since
            left = self._seconds if since is None else since + self._seconds - self._clock()
            if left <= 0:
                return
            await asyncio.sleep(left)
