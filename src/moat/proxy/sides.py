"""The two sides of an exchange, as the driver sees them, whichever HTTP is spoken on the wire.

Each side takes one message in, as a `Body` of data without its framing, and sends one out. What
stands here is the contract; `h1_client` and `h1_upstream` keep it for HTTP/1.1, `h2_client` and
`h2_upstream` for HTTP/2.
"""

from __future__ import annotations

from typing import Protocol

from moat.engine.messages import Headers, Request, Response


class Body(Protocol):
    """What comes in of one message: data without its framing, then trailers.

    `ended` says that all of it was taken, `trailers` what came behind it.
    """

    ended: bool
    trailers: Headers

    def take(self) -> bytes:
        """What is there already, which may be nothing. Raises BadMessage."""
        ...

    async def read(self) -> bytes:
        """The next bytes; empty at the end.

        Raises WireClosed when it ends early, BadMessage when it is malformed.
        """
        ...


class Outgoing(Protocol):
    """Where one message goes: its head was sent, data follow."""

    def send(self, data: bytes) -> None:
        """Send data of the body. Raises WireClosed."""
        ...

    def finish(self, trailers: Headers = ()) -> None:
        """Send the end of the body. Raises WireClosed."""
        ...

    @property
    def full(self) -> bool:
        """Whether there is reason to wait in `drain`."""
        ...

    async def drain(self) -> None:
        """Wait until the other side has room. Raises WireClosed."""
        ...

    def abort(self) -> None:
        """End it at once, so that the other side sees a cut and not an end."""
        ...


class ClientSide(Outgoing, Protocol):
    """The client's side of one exchange.

    `lost` says that nothing can be sent to it any more, `cut` that it went away without a word.
    `protocol` is "http/1.1" or "h2": what the upstream is asked for first. `last` may be set: then
    no other request of the connection is served.
    """

    request: Request
    body: Body
    protocol: str
    last: bool

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    @property
    def cut(self) -> bool:
        """Whether the client went away without an end."""
        ...

    @property
    def silent(self) -> bool:
        """Whether the client will say nothing more."""
        ...

    def inform(self, response: Response) -> None:
        """Send the head of a 1xx answer; another follows. Raises WireClosed."""
        ...

    def start(self, response: Response, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the answer, with what is there of its body. Raises WireClosed.

        With `end`, that is all of it. An answer that switches protocols has an endless body, and
        from then on so has the request.
        """
        ...


class UpstreamSide(Outgoing, Protocol):
    """The upstream's side of one exchange.

    `reused` says that the connection has carried an exchange before, and so may turn out to be
    closed; `untouched` that nothing of an answer has come yet.
    """

    body: Body
    reused: bool

    @property
    def untouched(self) -> bool:
        """Whether nothing of an answer has come."""
        ...

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    def start(self, request: Request, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the request, with what is there of its body. Raises WireClosed.

        With `end`, that is all of it.
        """
        ...

    async def head(self) -> Response:
        """The head of the next answer: a 1xx, or the one whose body is in `body` from then on.

        Raises WireClosed when none comes, BadMessage for one that is none.
        """
        ...

    def release(self) -> None:
        """Give the connection back: the exchange is over on this side, both ways."""
        ...
