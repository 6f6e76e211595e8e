"""One stream of an HTTP/2 connection: what came and was not taken yet, what goes out and waits.

A side of an exchange is made of one (`h2_client`, `h2_upstream`). It is a `Body` for what comes in
and an `Outgoing` for what goes out; see `moat.proxy.sides`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from moat.engine.messages import Headers
from moat.proxy.h1 import BadMessage
from moat.proxy.h2_heads import Fields, parse_trailers, render_trailers
from moat.proxy.wire import WireClosed

# RFC 9113 section 7
NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
REFUSED_STREAM = 0x7
CANCEL = 0x8
ENHANCE_YOUR_CALM = 0xB


class Carrier(Protocol):
    """The connection a stream is part of."""

    def pour(self, stream: Stream) -> None:
        """Send what waits of a stream, as far as there is room."""
        ...

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Give the other side room for what was taken."""
        ...

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream at once."""
        ...


class Stream:
    """Both directions of one stream.

    `number` is None until its first head goes out, where this side opens it. `left` is how many
    bytes of data are to come, None for any number. `out` holds heads (lists) and data that wait;
    nothing follows them once `closing`; `sent` says that the end has gone out as well. `lost` is
    set when nothing can be sent any more, `arrived` when the end of what comes has come.
    """

    abort_code = CANCEL

    def __init__(self, carrier: Carrier, number: int | None = None) -> None:
        self.number = number
        self.ended = False
        self.trailers: Headers = ()
        self.left: int | None = None
        self.out: deque[Fields | bytes | memoryview] = deque()
        self.closing = False
        self.sent = False
        self.lost = False
        self.arrived = False
        self._carrier = carrier
        self._came: list[bytes] = []
        self._held = 0  # bytes the other side is to be given room for again
        self._fault: Exception | None = None
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    # what comes

    def take(self) -> bytes:
        """What is there already. Raises BadMessage, or WireClosed."""
        if not self._came:
            if self._fault is not None:
                raise self._fault
            return b""
        data = self._came[0] if len(self._came) == 1 else b"".join(self._came)
        self._came.clear()
        self.ended = self.arrived
        self._let_more()
        return data

    async def read(self) -> bytes:
        """The next data; empty at the end. Raises WireClosed, or BadMessage."""
        while not self.ended:
            if data := self.take():
                return data
            await self.wait()
        return b""

    async def wait(self) -> None:
        """Wait until something has come, or nothing will."""
        self._readable = asyncio.get_running_loop().create_future()
        await self._readable

    def _let_more(self) -> None:
        size, self._held = self._held, 0
        if size:
            self._carrier.acknowledge(self, size)

    def on_data(self, data: bytes, held: int) -> None:
        """Data came; `held` is what it takes of the window."""
        self._held += held
        if self.left is not None:
            self.left -= len(data)
        if data:
            self._came.append(data)
            self.wake()
        else:
            self._let_more()

    def on_trailers(self, fields: Fields) -> None:
        """Trailers came, which are the end."""
        try:
            self.trailers = parse_trailers(fields)
        except BadMessage as error:
            self.fail(error)
        else:
            self.on_end()

    def on_end(self) -> None:
        """The end came."""
        if self.left:
            self.fail(BadMessage("the body is shorter than its Content-Length"))
            return
        self.arrived = True
        self.ended = not self._came
        self.wake()

    def fail(self, error: BadMessage) -> None:
        """What came is malformed: nothing more of it counts."""
        self._carrier.reset(self, PROTOCOL_ERROR)
        self._fault = error

    def on_lost(self, reason: str) -> None:
        """Nothing more will come or go: the stream was reset, or the connection has ended."""
        self.lost = True
        self.out.clear()
        if not self.arrived and self._fault is None:
            self._fault = WireClosed(reason)
        self.wake()
        self.wake_writer()

    def discard(self) -> None:
        """Nobody will take what is there."""
        self._came.clear()
        self._let_more()

    def wake(self) -> None:
        """Something has come, or nothing will."""
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    # what goes

    def begin(self, fields: Fields, data: bytes = b"", *, end: bool = False) -> None:
        """Send a head, with what is there of a body. Raises WireClosed."""
        self._check()
        self.out.append(fields)
        if data:
            self.out.append(data)
        self.closing = end
        self._carrier.pour(self)

    def send(self, data: bytes) -> None:
        """Send data. Raises WireClosed."""
        self._check()
        if data:
            self.out.append(data)
            self._carrier.pour(self)

    def finish(self, trailers: Headers = ()) -> None:
        """Send the end. Raises WireClosed."""
        self._check()
        if trailers:
            self.out.append(render_trailers(trailers))
        self.closing = True
        self._carrier.pour(self)

    @property
    def full(self) -> bool:
        """Whether there is reason to wait in `drain`."""
        return True

    async def drain(self) -> None:
        """Wait until what was to be sent has gone out. Raises WireClosed."""
        while self.out:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable
        self._check()

    def wake_writer(self) -> None:
        """Something of what waited has gone out."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def abort(self) -> None:
        """End it at once, so that the other side sees a cut and not an end."""
        self._carrier.reset(self, self.abort_code)

    def _check(self) -> None:
        if self.lost:
            raise WireClosed("the stream is closed")
