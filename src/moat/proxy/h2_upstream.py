"""The upstream's side of an exchange over HTTP/2, and the connection it shares with others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar

from h2.settings import SettingCodes

from moat import log
from moat.engine.messages import Request, Response, get_all
from moat.proxy.h1 import BadMessage
from moat.proxy.h2_heads import Answered, Fields, parse_response, render_request
from moat.proxy.h2_link import Link
from moat.proxy.h2_outflow import MAX_STREAMS
from moat.proxy.h2_stream import CANCEL, Stream
from moat.proxy.sides import Body
from moat.proxy.websocket import accept_of
from moat.proxy.wire import Wire, WireClosed

# What came and no client has taken: of one stream, and of a connection, where many may stall.
STREAM_WINDOW = 256 * 1024
CONNECTION_WINDOW = 16 * 1024 * 1024
# Answers to one request, 1xx but for the last, that wait to be passed on: no window bounds them.
MAX_HEADS = 16
# Servers close idle connections after a minute or so; one that is near that is not risked.
IDLE_SECONDS = 30.0


class H2Upstream(Stream):
    """One exchange of a shared connection. See `moat.proxy.sides.UpstreamSide`."""

    def __init__(self, link: UpstreamLink, *, reused: bool) -> None:
        super().__init__(link)
        self.reused = reused
        self.untouched = True
        self.body: Body = self
        self._link = link
        self._request: Request
        self._heads: deque[Answered | BadMessage] = deque()
        self._switching: str | None = None

    def start(self, request: Request, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the request, with what is there of its body. Raises WireClosed."""
        self._request = request
        if request.upgrade is not None and self._link.switches:
            # An upstream that does not offer it is asked without: it may, too, over HTTP/1.1.
            self._switching = request.upgrade
        fields = render_request(request, switch=self._switching is not None)
        self.begin(fields, data, end=end and self._switching is None)

    def on_head(self, fields: Fields, *, ended: bool) -> None:
        """A head came."""
        self.untouched = False
        if len(self._heads) >= MAX_HEADS:
            self.fail(BadMessage("more answers than are taken"))
            return
        try:
            answered = parse_response(
                fields, self._request.method, ended=ended, upgrade=self._switching
            )
        except BadMessage as error:
            self._heads.append(error)
        else:
            if answered.response.is_final:
                self.left = answered.left
            self._heads.append(answered)
        self.wake()

    async def head(self) -> Response:
        """The head of the next answer. Raises WireClosed, or BadMessage."""
        while not self._heads:
            if self.lost:
                raise self._fault or WireClosed("the stream ended before the answer")
            await self.wait()
        found = self._heads.popleft()
        if isinstance(found, BadMessage):
            raise found
        response = found.response
        return response if self._request.upgrade is None else self._switched(response)

    def _switched(self, response: Response) -> Response:
        """The answer to a request that was to switch protocols."""
        keys = get_all(self._request.headers, b"sec-websocket-key")
        if response.upgrade is not None and keys:  # what clients of HTTP/1.1 look for
            headers = (*response.headers, (b"Sec-WebSocket-Accept", accept_of(keys[0])))
            return Response(response.status, headers, response.reason, response.upgrade)
        if response.upgrade is None and not keys and 200 <= response.status < 300:
            # Over HTTP/2 any 2xx would be taken for the switch.
            raise BadMessage("a success that switches no protocol")
        return response

    def release(self) -> None:
        """Nothing more of this exchange is wanted, nor sent."""
        self._link.leave(self)

    def abort(self) -> None:
        """Let the upstream see a cut, and not an end."""
        self._link.leave(self)


class UpstreamLink(Link):
    """A connection to an upstream: its streams are of any exchanges of the run that go there.

    It listens by itself until it ends. `used` says that it has carried an exchange, and so may turn
    out to be closed; `switches` that the upstream can switch protocols on a stream.
    """

    _settings: ClassVar[dict[SettingCodes, int]] = {
        SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        SettingCodes.ENABLE_PUSH: 0,
    }

    def __init__(self, wire: Wire) -> None:
        self._known = asyncio.get_running_loop().create_future()
        super().__init__(wire, self._settings, client_side=True, window=CONNECTION_WINDOW)
        self._members: set[H2Upstream] = set()
        self.used = False
        self._idle: asyncio.TimerHandle | None = None
        self.task = self._loop.create_task(self._run())

    async def known(self) -> None:
        """Wait until the upstream has said how many streams it takes, or has ended."""
        await asyncio.shield(self._known)

    @property
    def switches(self) -> bool:
        """Whether the upstream can switch protocols on a stream (RFC 8441)."""
        return bool(self._h2.remote_settings.enable_connect_protocol)

    @property
    def fit(self) -> bool:
        """Whether another exchange can begin on it."""
        silent = self._loop.time() - self._heard_at > IDLE_SECONDS
        return not (self.going or self.wire.ended or self.wire.lost or silent or self._full)

    @property
    def _full(self) -> bool:
        most = min(self._h2.remote_settings.max_concurrent_streams, MAX_STREAMS)
        return len(self._members) >= most

    def enter(self) -> H2Upstream:
        """Begin an exchange."""
        stream = H2Upstream(self, reused=self.used)
        self.used = True
        self._members.add(stream)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        return stream

    def leave(self, stream: H2Upstream) -> None:
        """End an exchange, if the upstream has not, and forget it."""
        self.reset(stream, CANCEL)
        stream.discard()
        self._members.discard(stream)
        if self._members or self.down:
            return
        if self.going:
            self.close()
        elif self._idle is None:
            self._idle = self._loop.call_later(IDLE_SECONDS, self.close)

    def close(self) -> None:
        """Close the connection, with whatever is going on."""
        self.part()
        self._end("the connection was closed")

    def _end(self, reason: str) -> None:
        self.shut(reason)
        if self._idle is not None:
            self._idle.cancel()
        if not self._known.done():
            self._known.set_result(None)
        self.wire.close()

    async def _run(self) -> None:
        reason = "the connection ended"
        try:
            await self.listen()
        except BadMessage as error:
            reason = error.reason
        except asyncio.CancelledError:
            self.part()
            raise
        except Exception:
            log.get(__name__).exception("a connection to an upstream failed")
        finally:
            self._end(reason)

    # what comes

    def on_head(self, number: int, fields: Fields, *, ended: bool) -> None:
        """An answer began."""
        stream = self.streams.get(number)
        if isinstance(stream, H2Upstream):
            stream.on_head(fields, ended=ended)

    def on_settings(self) -> None:
        """The upstream has said what it takes on."""
        if not self._known.done():
            self._known.set_result(None)

    def on_goaway(self, last: int) -> None:
        """The upstream takes no more on; what it did not is lost, and may be sent again."""
        for stream in tuple(self._members):
            if stream.number is None or stream.number > last:
                self.reset(stream, CANCEL)
        if not self._members:
            self.close()
