"""Plays one exchange over HTTP/1.1: carries out what the generator asks for."""

from __future__ import annotations

import asyncio
import time

from moat.core.hosts import Destination
from moat.engine.exchange import (
    Command,
    Deliver,
    Exchange,
    ExchangeFailed,
    Forward,
    Measured,
    Record,
    Refuse,
    Resolve,
    exchange,
)
from moat.engine.messages import Request, Response, end_to_end
from moat.engine.problem import Problem
from moat.errors import MoatError, RecordError
from moat.proxy import h1
from moat.proxy.h1 import NO_BODY, BadMessage, Framing, RequestHead
from moat.proxy.interface import Handed
from moat.proxy.relay import relay_body, tunnel
from moat.proxy.upstream import Connection, UpstreamError
from moat.proxy.wire import Wire, WireClosed

# Models think for minutes before the first byte.
FIRST_BYTE_TIMEOUT = 900.0
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "OPTIONS"})

GONE = Problem(status=499, kind="client-gone", detail="the client went away")


def write_problem(client: Wire, problem: Problem, *, close: bool, head_only: bool = False) -> None:
    """Answer a client with a problem of our own."""
    body = problem.body()
    response = Response(
        problem.status,
        (
            (b"Content-Type", b"application/problem+json"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Cache-Control", b"no-store"),
        ),
        b"Refused by Moat",
    )
    client.write(h1.render_response(response, close=close) + (b"" if head_only else body))


class Play:
    """One request of a client, from its head to the end of its answer."""

    def __init__(
        self, handed: Handed, client: Wire, head: RequestHead, destination: Destination, target: str
    ) -> None:
        self._handed = handed
        self._client = client
        self._framing: Framing = h1.request_framing(head)
        self._request = Request(
            head.method, destination, target, end_to_end(head.headers), head.upgrade
        )
        self._keep_alive = head.keep_alive
        self._number = handed.next_number()
        self._measured = Measured(started=time.time())
        self._clock = time.perf_counter()
        self._connection: Connection | None = None
        self._upload: asyncio.Task[None] | None = None
        self._sent = False
        self._tunnelling = False

    async def run(self) -> bool:
        """Play it; True when the client's connection is fit for another request."""
        conversation = exchange(self._request, self._handed.session)
        try:
            await self._converse(conversation)
        finally:
            conversation.close()
            await self._clean_up()
        return self._keep_alive and not self._client.lost

    async def _converse(self, conversation: Exchange) -> None:
        command: Command | None = next(conversation, None)
        while command is not None:
            try:
                reply = await self._carry_out(command)
            except ExchangeFailed as failure:
                command = _throw(conversation, failure)
            except asyncio.CancelledError:
                self._keep_alive = False
                self._note_the_end(self._let_go(conversation))
                raise
            else:
                try:
                    command = conversation.send(reply)
                except StopIteration:
                    command = None

    def _let_go(self, conversation: Exchange) -> Command | None:
        """What is left to do when the client is gone: for a tunnel that is a good end."""
        if self._tunnelling:
            return conversation.send(None)
        return _throw(conversation, ExchangeFailed(GONE, sent=self._sent))

    async def _carry_out(self, command: Command) -> object:
        match command:
            case Record():
                self._record(command)
            case Resolve(grant):
                try:
                    return await self._handed.credentials.resolve(grant)
                except MoatError as error:
                    problem = Problem(status=502, kind="no-credential", detail=error.message)
                    raise ExchangeFailed(problem) from error
            case Forward(request, local):
                return await self._forward(request, local)
            case Deliver(response):
                await self._deliver(response)
            case Refuse(problem):
                # A body the client is still sending would be read as its next request.
                self._keep_alive = self._keep_alive and self._framing == NO_BODY
                close = not self._keep_alive
                head_only = self._request.method == "HEAD"
                write_problem(self._client, problem, close=close, head_only=head_only)
        return None

    def _record(self, command: Record) -> None:
        self._measured.duration = time.perf_counter() - self._clock
        try:
            self._handed.recorder.record(self._number, command.entry, self._measured)
        except RecordError as error:
            self._keep_alive = False
            problem = Problem(status=503, kind="not-recorded", detail=error.message)
            raise ExchangeFailed(problem, sent=self._sent) from error

    def _note_the_end(self, command: Command | None) -> None:
        if isinstance(command, Record):
            try:
                self._record(command)
            except ExchangeFailed:
                pass  # the run is ending and the ledger has said so itself

    # the way up

    async def _forward(self, request: Request, local: bool) -> Response:
        try:
            response = await self._ask(request, local, fresh=False)
        except _Stale:
            response = await self._ask(request, local, fresh=True)
        self._measured.first_byte = time.perf_counter() - self._clock
        return response

    async def _ask(self, request: Request, local: bool, *, fresh: bool) -> Response:
        try:
            connection = await self._handed.upstreams.acquire(
                request.destination, local=local, fresh=fresh
            )
        except UpstreamError as error:
            raise ExchangeFailed(error.problem) from error
        self._connection = connection
        self._sent = True
        try:
            connection.wire.write(h1.render_request(request))
            if self._framing != NO_BODY:
                self._upload = asyncio.create_task(self._send_body(connection.wire))
            async with asyncio.timeout(FIRST_BYTE_TIMEOUT):
                return await self._final_head(connection.wire)
        except TimeoutError:
            detail = f"{request.destination} sent no answer for {FIRST_BYTE_TIMEOUT:.0f} s"
            raise self._failure("upstream-timeout", detail, status=504) from None
        except WireClosed as error:
            repeatable = request.method in _SAFE_TO_REPEAT and self._framing == NO_BODY
            if connection.reused and repeatable and not connection.wire.buffer:
                connection.wire.abort()
                raise _Stale from error
            detail = f"{request.destination} closed the connection without an answer"
            raise self._failure("upstream-closed", detail) from error
        except BadMessage as error:
            detail = f"the answer of {request.destination} is not sound: {error.reason}"
            raise self._failure("upstream-malformed", detail) from error

    async def _send_body(self, upstream: Wire) -> None:
        def count(size: int) -> None:
            self._measured.bytes_up += size

        try:
            await relay_body(self._client, upstream, self._framing, count)
        except (BadMessage, WireClosed):
            # Half a request must not look like a whole one.
            upstream.abort()

    async def _final_head(self, upstream: Wire) -> Response:
        while True:
            raw = await h1.read_head(upstream)
            if raw is None:
                raise WireClosed("the connection ended before the answer")
            head = h1.parse_response(raw)
            switching = head.status == 101
            if switching and self._request.upgrade is None:
                raise BadMessage("a switch of protocols nobody asked for")
            response = Response(
                head.status,
                end_to_end(head.headers),
                head.reason,
                self._request.upgrade if switching else None,
            )
            if head.status >= 200 or switching:
                self._answer = head
                self._answer_framing = h1.response_framing(head, self._request.method)
                return response
            self._client.write(h1.render_response(response))

    # the way down

    async def _deliver(self, response: Response) -> None:
        assert self._connection is not None
        upstream = self._connection.wire

        def count(size: int) -> None:
            self._measured.bytes_down += size

        def count_up(size: int) -> None:
            self._measured.bytes_up += size

        uploading = self._upload is not None and not self._upload.done()
        endless = isinstance(self._answer_framing, h1.UntilClose)
        self._keep_alive = self._keep_alive and not endless and not uploading
        try:
            close = not self._keep_alive
            self._client.write(h1.render_response(response, close=close))
            if response.upgrade is not None:
                self._keep_alive = False
                self._tunnelling = True
                await tunnel(self._client, upstream, count_up, count)
                return
            await relay_body(upstream, self._client, self._answer_framing, count)
        except (WireClosed, BadMessage) as error:
            self._keep_alive = False
            self._client.abort()  # so that the client sees a cut, not an end
            detail = f"the answer of {self._request.destination} was cut: {error}"
            raise self._failure("upstream-cut", detail) from error
        if self._upload is not None and not self._upload.done():
            self._keep_alive = False
        elif self._answer.keep_alive and not endless and not upstream.buffer:
            self._handed.upstreams.release(self._connection)
            self._connection = None

    def _failure(self, kind: str, detail: str, *, status: int = 502) -> ExchangeFailed:
        self._keep_alive = self._keep_alive and self._framing == NO_BODY
        return ExchangeFailed(Problem(status=status, kind=kind, detail=detail), sent=self._sent)

    async def _clean_up(self) -> None:
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
            await asyncio.gather(self._upload, return_exceptions=True)
        if self._connection is not None:
            self._connection.wire.abort()
            self._connection = None


class _Stale(Exception):
    """A pooled connection turned out to be closed; the request may be sent again."""


def _throw(conversation: Exchange, failure: ExchangeFailed) -> Command | None:
    try:
        return conversation.throw(failure)
    except (StopIteration, ExchangeFailed):
        return None
