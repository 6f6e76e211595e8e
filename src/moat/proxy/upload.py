"""The body of a request on its way up, while the answer may already be coming down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from moat.engine.messages import Headers
from moat.engine.problem import Problem
from moat.engine.transform import Refused, Transform
from moat.proxy.h1 import BadMessage
from moat.proxy.sides import ClientSide, UpstreamSide
from moat.proxy.transfer import Chain, copy
from moat.proxy.wire import WireClosed

# Bytes that are looked into at once: for placeholders, which takes a few milliseconds at worst.
_PIECE = 64 * 1024


class Upload:
    """Sends one body from the client to the upstream, beside the task that reads the answer.

    Without `trailers`, what stands behind the body stays behind. `fault` is what is wrong with the
    body, once something is: then the upstream was cut off, as half a request must not look like a
    whole one.
    """

    def __init__(
        self,
        client: ClientSide,
        through: Sequence[Transform],
        count: Callable[[int], None],
        *,
        trailers: bool,
    ) -> None:
        self._client = client
        self._chain = Chain(through)
        self._count = count
        self._fields = None if trailers else _none
        self._task: asyncio.Task[None] | None = None
        self.fault: Problem | None = None

    def first(self) -> bytes:
        """What of the body is there already. Raises Refused, or BadMessage."""
        body = self._client.body
        data = b"" if body.ended else body.take()
        if data:
            self._count(len(data))
        return self._chain.feed(data, end=body.ended)

    @property
    def over(self) -> bool:
        """Whether `first` was all of it; an end that came later is still to be sent."""
        return self._client.body.ended and self._chain.finished

    def go_on(self, upstream: UpstreamSide) -> None:
        """Send the rest as it comes."""
        self._task = asyncio.create_task(self._send(upstream))

    async def stop(self) -> None:
        """Send no more."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self, upstream: UpstreamSide) -> None:
        body = self._client.body
        try:
            await copy(body, upstream, self._chain, self._count, fields=self._fields, piece=_PIECE)
        except BadMessage as error:
            detail = f"the body of the request is not sound: {error.reason}"
            self._refuse(upstream, detail, status=error.status)
        except Refused as refused:
            self.fault = refused.problem
            upstream.abort()
        except WireClosed:
            # An upstream that has heard enough may still be answering.
            if not upstream.lost:
                self._refuse(upstream, "the body of the request ended early")

    def _refuse(self, upstream: UpstreamSide, detail: str, *, status: int = 400) -> None:
        self.fault = Problem(status=status, kind="bad-request", detail=detail)
        upstream.abort()


def _none(_: Headers) -> Headers:
    return ()
