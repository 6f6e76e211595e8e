"""The upstream's side of an exchange over HTTP/1.1. See `moat.proxy.sides.UpstreamSide`."""

from __future__ import annotations

from collections.abc import Callable

from moat.engine.messages import Headers, Request, Response
from moat.proxy.h1 import (
    BadMessage,
    ResponseHead,
    find_head,
    parse_response,
    read_head,
    render_request,
    response_framing,
)
from moat.proxy.h1_body import EMPTY, RestBody, chunk, incoming, last_chunk
from moat.proxy.sides import Body
from moat.proxy.wire import Wire, WireClosed


class H1Upstream:
    """One exchange of a connection; `keep` is called with it once it is ready for another."""

    def __init__(self, wire: Wire, *, reused: bool, keep: Callable[[Wire], None]) -> None:
        self._wire = wire
        self._keep = keep
        self._request: Request
        self._head: ResponseHead | None = None
        self._chunked = False
        self._sent = False
        self.reused = reused
        self.body: Body = EMPTY

    @property
    def untouched(self) -> bool:
        """Whether nothing of an answer has come."""
        return self._head is None and not self._wire.buffer

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._wire.lost

    def start(self, request: Request, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the request, with what is there of its body. Raises WireClosed."""
        self._request = request
        self._chunked = request.body is None
        if self._chunked:
            data = chunk(data) if data else b""
            data += last_chunk(()) if end else b""
        self._wire.write(render_request(request) + data)
        self._sent = end

    def send(self, data: bytes) -> None:
        """Send data of the body. Raises WireClosed."""
        self._wire.write(chunk(data) if self._chunked else data)

    def finish(self, trailers: Headers = ()) -> None:
        """Send the end of the body. Raises WireClosed."""
        self._sent = True
        if self._switched:
            self._wire.end()
        elif self._chunked:
            self._wire.write(last_chunk(trailers))

    @property
    def full(self) -> bool:
        """Whether the upstream has no room."""
        return self._wire.full

    async def drain(self) -> None:
        """Wait until the upstream has room. Raises WireClosed."""
        await self._wire.drain()

    async def head(self) -> Response:
        """The head of the next answer. Raises WireClosed, or BadMessage."""
        wire = self._wire
        if not wire.buffer:
            await wire.fill()
        raw = find_head(wire) or await read_head(wire)
        if raw is None:
            raise WireClosed("the connection ended before the answer")
        head = self._head = parse_response(raw)
        framing = response_framing(head, self._request.method)
        if head.status == 101:
            # Only what was asked for, and only once.
            protocols = [value.decode("latin-1").lower() for value in head.all(b"upgrade")]
            if protocols != [self._request.upgrade]:
                raise BadMessage("a switch of protocols nobody asked for")
            self.body = RestBody(self._wire)
            return head.response(framing, self._request.upgrade)
        self.body = incoming(self._wire, framing)
        return head.response(framing)

    @property
    def _switched(self) -> bool:
        return self._head is not None and self._head.status == 101

    def release(self) -> None:
        """Give the connection back, or close it where it is fit for nothing more."""
        sound = self._sent and self.body.ended and not self._wire.buffer
        if sound and self._head is not None and self._head.keep_alive and not self._switched:
            self._keep(self._wire)
        else:
            self._wire.close()

    def abort(self) -> None:
        """Let the upstream see a cut, and not an end."""
        self._wire.abort()
