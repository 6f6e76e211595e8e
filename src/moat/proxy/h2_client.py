"""Clients that speak HTTP/2: the streams of one connection, each played in a task of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import ClassVar

from h2.settings import SettingCodes

from moat import log
from moat.core.hosts import Destination
from moat.engine.messages import Headers, Request, Response
from moat.engine.problem import Problem
from moat.errors import RecordError
from moat.proxy.answers import GONE, answer_problem
from moat.proxy.driver import Play
from moat.proxy.h1 import BadMessage, RequestHead
from moat.proxy.h2_frames import Budget
from moat.proxy.h2_heads import Fields, parse_request, render_response
from moat.proxy.h2_link import Link
from moat.proxy.h2_outflow import MAX_STREAMS
from moat.proxy.h2_stream import INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Stream
from moat.proxy.interface import Handed
from moat.proxy.sides import Body
from moat.proxy.wire import Wire, WireClosed

# What is on its way up and no upstream has taken: of one stream, and of a connection.
STREAM_WINDOW = 64 * 1024
CONNECTION_WINDOW = 1024 * 1024
MAX_OF_RUN = 1024  # streams of all connections at once
# Streams of a connection that are given up, or too many: so many at once, so many a second.
RESETS = 200, 20.0

_SHOWN = re.compile(rb"[\x21-\x7e]+")

Place = Callable[[RequestHead], tuple[Destination, str]]
"""Where a request goes, by its head. Raises BadMessage."""
Note = Callable[[str, str, int | None, str], None]
"""Records what never became an exchange: method, URL, status, error. Raises RecordError."""


class _Nothing:
    """The body of a request that has none. See `moat.proxy.sides.Body`."""

    ended = True
    trailers: Headers = ()

    def take(self) -> bytes:
        return b""

    async def read(self) -> bytes:
        return b""


class H2Client(Stream):
    """One request of a client, and its answer. See `moat.proxy.sides.ClientSide`."""

    abort_code = INTERNAL_ERROR

    def __init__(self, link: Link, number: int, request: Request) -> None:
        super().__init__(link, number)
        self.request = request
        # Before an answer has switched protocols, nothing that comes is meant for the upstream.
        self.body: Body = self if request.upgrade is None else _Nothing()
        self.protocol = "h2" if request.upgrade is None else request.upgrade
        self.last = False
        self.started = False

    @property
    def cut(self) -> bool:
        """Whether the client went away, which over HTTP/2 it never does without a word."""
        return self.lost

    @property
    def silent(self) -> bool:
        """Whether the client will say nothing more: whoever goes, resets the stream."""
        return self.lost

    def inform(self, response: Response) -> None:
        """Send the head of a 1xx answer. Raises WireClosed."""
        self.begin(render_response(response))

    def start(self, response: Response, data: bytes = b"", *, end: bool = False) -> None:
        """Send the head of the answer, with what is there of its body. Raises WireClosed."""
        if response.upgrade is not None:
            self.body = self
        self.begin(render_response(response), data, end=end)


class H2Conversation(Link):
    """The requests of one client connection, all at once."""

    _settings: ClassVar[dict[SettingCodes, int]] = {
        SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
    }

    def __init__(
        self,
        handed: Handed,
        client: Wire,
        destination: Destination,
        *,
        place: Place,
        note: Note,
        head_timeout: float,
        idle_timeout: float,
    ) -> None:
        super().__init__(client, self._settings, client_side=False, window=CONNECTION_WINDOW)
        self._handed = handed
        self._destination = destination
        self._place = place
        self._note = note
        self._head_timeout = head_timeout
        self._idle_timeout = idle_timeout
        self._resets = Budget(*RESETS, self._loop.time())
        self._tasks: dict[H2Client, asyncio.Task[None]] = {}
        self._idle_since = self._loop.time()
        self._unfinished_since: float | None = None

    async def run(self) -> None:
        """Serve until the client has had enough, or must go; all of it is recorded."""
        self._handed.live.add(self)
        try:
            await self.listen()
        except TimeoutError:
            self.part()
        except BadMessage as error:
            self._note_safely("-", str(self._destination), error.status, error.reason)
        finally:
            self._handed.live.discard(self)
            if self.wire.ended or self.wire.lost:
                self.shut("the client went away")
            await self._end_all()
            self.shut("the connection is closed")

    async def _end_all(self) -> None:
        tasks = tuple(self._tasks.items())
        for stream, task in tasks:
            _end(stream, task)
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)

    # what looks after it

    def check(self, now: float) -> None:
        """Wait no longer for a client that was given its time, and has nothing going on."""
        if not self._frames.unfinished:
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = now
        if self._tasks:
            return
        overdue = now - self._idle_since > self._idle_timeout
        if self._unfinished_since is not None:
            overdue = overdue or now - self._unfinished_since > self._head_timeout
        if overdue:
            self.wire.expire()

    def judge(self) -> None:
        """A connection is nothing that could be refused; its exchanges are judged themselves."""

    # streams

    def on_head(self, number: int, fields: Fields, *, ended: bool) -> None:
        """A request came: play it, or refuse it."""
        full = len(self._tasks) >= MAX_STREAMS or self._handed.streams >= MAX_OF_RUN
        if full or self.going:
            self._turn_away(number, fields)
            return
        refusal = None
        try:
            asked = parse_request(fields, ended=ended)
            places = [self._place(head) for head in asked.heads]
            request = asked.request(*places[0])
        except BadMessage as error:
            refusal = error
            request = self._as_far_as_told(fields)
        stream = H2Client(self, number, request)
        if request.upgrade is None:
            stream.left = request.body
        self.streams[number] = stream
        self._handed.streams += 1
        self._tasks[stream] = self._loop.create_task(self._serve(stream, refusal))

    def on_reset(self, stream: Stream) -> None:
        """The client no longer wants an answer."""
        self.spend(self._resets, "streams given up")
        if isinstance(stream, H2Client) and stream in self._tasks:
            _end(stream, self._tasks[stream])

    def on_goaway(self, _: int) -> None:
        """The client asks for nothing more."""
        self._end_if_over()

    def _turn_away(self, number: int, fields: Fields) -> None:
        """Refuse a stream in a way that says it can be tried again."""
        self.spend(self._resets, "streams too many")
        asked = self._as_far_as_told(fields)
        self._note_safely(asked.method, asked.url, 503, "too many requests at once")
        self._h2.reset_stream(number, REFUSED_STREAM)

    async def _serve(self, stream: H2Client, refusal: BadMessage | None) -> None:
        stream.started = True
        try:
            if stream.lost:
                self._note_safely(stream.request.method, stream.request.url, None, GONE.detail)
            elif refusal is None:
                await Play(self._handed, stream, asyncio.current_task()).run()
            else:
                self._refuse(stream, refusal)
            await stream.drain()
        except (WireClosed, asyncio.CancelledError):
            pass
        except Exception:
            log.get(__name__).exception("a stream of the box failed")
        finally:
            self._finish(stream)

    def _finish(self, stream: H2Client) -> None:
        """Leave nothing of a stream behind."""
        stream.body = _Nothing()
        stream.discard()
        if not stream.closing:
            stream.abort()
        elif not stream.arrived:
            self.reset(stream, NO_ERROR)  # the rest of the request is not wanted
        del self._tasks[stream]
        self._handed.streams -= 1
        self._idle_since = self._loop.time()
        if stream.last:
            self.part()
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self.going and not self._tasks:
            self.wire.expire()

    # refusals

    def _refuse(self, stream: H2Client, error: BadMessage) -> None:
        """Answer what is not a request that could be played. Raises WireClosed."""
        status, reason = error.status, error.reason
        try:
            self._note(stream.request.method, stream.request.url, status, reason)
        except RecordError as failure:
            status, reason = 503, failure.message
            stream.last = True
        detail = f"Moat refused a request: {reason}"
        problem = Problem(status=status, kind="bad-request", detail=detail)
        answer_problem(stream, problem, self._handed.session.run)

    def _note_safely(self, method: str, url: str, status: int | None, reason: str) -> None:
        try:
            self._note(method, url, status, reason)
        except RecordError:
            self.part()  # the ledger says so itself

    def _as_far_as_told(self, fields: Fields) -> Request:
        """What was asked for, as far as it can be told from a head that is refused."""
        told = {name: value for name, value in fields if _SHOWN.fullmatch(value)}
        method, target = told.get(b":method", b"-"), told.get(b":path", b"")
        path = target.decode() if target.startswith(b"/") else ""
        return Request(method.decode(), self._destination, path, ())


def _end(stream: H2Client, task: asyncio.Task[None]) -> None:
    """End what is done for a stream. A task that is cancelled before it starts does not even
    record that it was."""
    if stream.started:
        task.cancel()
    else:
        stream.on_lost("the stream is closed")
