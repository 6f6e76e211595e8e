"""The body of a request on its way up, while the answer may already be coming down."""

from __future__ import annotations

import asyncio

from moat.engine.exchange import Measured
from moat.engine.problem import Problem
from moat.proxy.h1 import NO_BODY, BadMessage, Framing, Length
from moat.proxy.relay import relay_body
from moat.proxy.wire import Wire, WireClosed


class Upload:
    """Sends one body from the client to the upstream, beside the task that reads the answer.

    `taken` says that the client's body has been read to its end: until then what the client
    sends next is no request. `fault` is what the client did wrong, if it did.
    """

    def __init__(self, client: Wire, framing: Framing, measured: Measured) -> None:
        self._client = client
        self._framing = framing
        self._measured = measured
        self._task: asyncio.Task[None] | None = None
        self.taken = framing == NO_BODY
        self.fault: Problem | None = None

    def start(self, upstream: Wire, head: bytes) -> None:
        """Send the head, and begin with the body. Raises WireClosed."""
        data = b""
        if isinstance(self._framing, Length) and self._framing.size <= len(self._client.buffer):
            data = self._client.take(self._framing.size)
            self.taken = True
        upstream.write(head + data)
        self._count(len(data))
        if not self.taken:
            self._task = asyncio.create_task(self._send(upstream))

    async def stop(self) -> None:
        """Send no more."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self, upstream: Wire) -> None:
        try:
            await relay_body(self._client, upstream, self._framing, self._count)
            self.taken = True
        except BadMessage as error:
            self._refuse(upstream, f"the body of the request is not sound: {error.reason}")
        except WireClosed:
            # An upstream that has heard enough may still be answering.
            if not upstream.lost:
                self._refuse(upstream, "the body of the request ended early")

    def _refuse(self, upstream: Wire, detail: str) -> None:
        """Half a request must not look like a whole one."""
        self.fault = Problem(status=400, kind="bad-request", detail=detail)
        upstream.abort()

    def _count(self, size: int) -> None:
        self._measured.bytes_up += size
