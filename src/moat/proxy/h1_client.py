"""The client's side of an exchange over HTTP/1.1. See `moat.proxy.sides.ClientSide`."""

from __future__ import annotations

from moat.core.hosts import Destination
from moat.engine.messages import Headers, Response
from moat.proxy.h1 import BadMessage, RequestHead, render_response, request_framing
from moat.proxy.h1_body import RestBody, chunk, incoming, last_chunk
from moat.proxy.sides import Body
from moat.proxy.wire import Wire


class H1Client:
    """One request of a connection, and its answer."""

    protocol = "http/1.1"

    def __init__(
        self, wire: Wire, head: RequestHead, destination: Destination, target: str
    ) -> None:
        """Raises BadMessage."""
        expected = head.said.get(b"expect")
        if expected and [value.lower() for value in expected] != [b"100-continue"]:
            raise BadMessage("the expectation is not 100-continue", status=417)
        framing = request_framing(head)
        self.request = head.request(destination, target, framing)
        self.body: Body = incoming(wire, framing)
        self._wire = wire
        self.last = not head.keep_alive
        self._chunked = False
        self._switched = False
        self._answered = False

    @property
    def fit(self) -> bool:
        """Whether the connection is ready for another request."""
        return self._answered and not self.last and self.body.ended and not self._wire.lost

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._wire.lost

    @property
    def cut(self) -> bool:
        """Whether the client went away without an end."""
        return self._wire.cut

    @property
    def silent(self) -> bool:
        """Whether the client will say nothing more."""
        return self._wire.ended

    def inform(self, response: Response) -> None:
        """Send the head of a 1xx answer. Raises WireClosed."""
        self._wire.write(render_response(response))

    def start(self, response: Response, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the answer, with what is there of its body. Raises WireClosed."""
        # A body that is still to come must not be taken for the next request.
        self.last = self.last or not self.body.ended or response.upgrade is not None
        self._chunked = response.body is None and response.upgrade is None
        if self._chunked and data:
            data = chunk(data)
        if end and self._chunked:
            data += last_chunk(())
        self._wire.write(render_response(response, close=self.last) + data)
        self._answered = end
        if response.upgrade is not None:
            self._switched = True
            self.body = RestBody(self._wire)

    def send(self, data: bytes) -> None:
        """Send data of the body. Raises WireClosed."""
        self._wire.write(chunk(data) if self._chunked else data)

    def finish(self, trailers: Headers = ()) -> None:
        """Send the end of the body. Raises WireClosed."""
        self._answered = True
        if self._switched:
            self._wire.end()
        elif self._chunked:
            self._wire.write(last_chunk(trailers))

    @property
    def full(self) -> bool:
        """Whether the client has no room."""
        return self._wire.full

    async def drain(self) -> None:
        """Wait until the client has room. Raises WireClosed."""
        await self._wire.drain()

    def abort(self) -> None:
        """Let the client see a cut, and not an end."""
        self.last = True
        self._wire.abort()
