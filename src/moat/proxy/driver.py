"""Plays one exchange over HTTP/1.1: carries out what the generator asks for."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from moat import log
from moat.core.hosts import Destination
from moat.core.secret import Secret
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
from moat.proxy.answers import BROKEN, ENDED, GONE, write_problem
from moat.proxy.h1 import NO_BODY, BadMessage, Framing, RequestHead, ResponseHead
from moat.proxy.interface import Handed
from moat.proxy.relay import relay_body, tunnel
from moat.proxy.silence import Patience, UpstreamSilent
from moat.proxy.upload import Upload
from moat.proxy.upstream import Connection, UpstreamError
from moat.proxy.wire import Wire, WireClosed

_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "OPTIONS"})


class Play:
    """One request of a client, from its head to the end of its answer."""

    def __init__(
        self, handed: Handed, client: Wire, head: RequestHead, destination: Destination, target: str
    ) -> None:
        self._handed = handed
        self._client = client
        self._framing: Framing = h1.request_framing(head)
        # Before a switch of protocols the body would have to be over, and nobody sends one.
        upgrade = head.upgrade if self._framing == NO_BODY else None
        self._request = Request(head.method, destination, target, end_to_end(head.headers), upgrade)
        self._keep_alive = head.keep_alive
        self._number = handed.next_number()
        self._measured = Measured(started=time.time())
        self._clock = time.perf_counter()
        self._connection: Connection | None = None
        self._upload = Upload(client, self._framing, self._measured)
        self._patience = Patience(handed.idle_timeout, lambda: self._measured.bytes_up)
        self._sent = False
        self._delivering = False
        self._tunnelling = False
        self._answer: ResponseHead
        self._answer_framing: Framing

    async def run(self) -> bool:
        """Play it; True when the client's connection is fit for another request."""
        conversation = exchange(self._request, self._handed.session)
        try:
            await self._converse(conversation)
        finally:
            conversation.close()
            await self._clean_up()
        return self._keep_alive and self._upload.taken and not self._client.lost

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
            except Exception:
                log.get(__name__).exception("an exchange failed")
                if self._delivering:
                    self._cut_client()
                self._keep_alive = False
                command = _throw(conversation, ExchangeFailed(BROKEN, sent=self._sent))
            else:
                try:
                    command = conversation.send(reply)
                except StopIteration:
                    command = None

    def _let_go(self, conversation: Exchange) -> Command | None:
        """What is left to do when the client is gone: for a tunnel that is a good end."""
        if self._tunnelling:
            return conversation.send(None)
        problem = GONE if self._client.lost or self._client.cut else ENDED
        return _throw(conversation, ExchangeFailed(problem, sent=self._sent))

    async def _carry_out(self, command: Command) -> object:
        match command:
            case Record():
                self._record(command)
            case Resolve(grant):
                return await self._resolve(grant)
            case Forward(request, local):
                return await self._forward(request, local)
            case Deliver(response):
                await self._deliver(response)
            case Refuse(problem):
                self._refuse(problem)
        return None

    async def _resolve(self, grant: str) -> Secret:
        try:
            return await self._handed.credentials.resolve(grant)
        except MoatError as error:
            problem = Problem(status=502, kind="no-credential", detail=error.message)
            raise ExchangeFailed(problem) from error

    def _refuse(self, problem: Problem) -> None:
        close = not (self._keep_alive and self._upload.taken)
        head_only = self._request.method == "HEAD"
        try:
            write_problem(self._client, problem, close=close, head_only=head_only)
        except WireClosed:
            self._keep_alive = False

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
            self._upload.start(connection.wire, h1.render_request(request))
            return await self._patience.wait(partial(self._final_head, connection.wire))
        except UpstreamSilent:
            raise self._silent("sent no answer") from None
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

    async def _final_head(self, upstream: Wire) -> Response:
        while True:
            raw = await h1.read_head(upstream)
            if raw is None:
                raise WireClosed("the connection ended before the answer")
            head = h1.parse_response(raw)
            switching = head.status == 101
            if switching and not self._asked_for(head):
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
            await self._pass_on_early(response)

    def _asked_for(self, head: ResponseHead) -> bool:
        protocols = [value.decode("latin-1").lower() for value in head.all(b"upgrade")]
        return protocols == [self._request.upgrade]

    async def _pass_on_early(self, response: Response) -> None:
        """Pass a 1xx on; the answer proper is still to come."""
        try:
            self._client.write(h1.render_response(response))
            await self._client.drain()
        except WireClosed as error:
            raise ExchangeFailed(GONE, sent=True) from error

    # the way down

    async def _deliver(self, response: Response) -> None:
        assert self._connection is not None
        upstream = self._connection.wire

        def count(size: int) -> None:
            self._measured.bytes_down += size

        def count_up(size: int) -> None:
            self._measured.bytes_up += size

        endless = isinstance(self._answer_framing, h1.UntilClose)
        self._keep_alive = self._keep_alive and self._upload.taken and not endless
        self._delivering = True
        try:
            head = h1.render_response(response, close=not self._keep_alive)
            if response.upgrade is not None:
                self._client.write(head)
                self._keep_alive = False
                self._tunnelling = True
                await tunnel(self._client, upstream, count_up, count, self._handed.idle_timeout)
                return
            fill = partial(self._patience.wait, upstream.fill)
            await relay_body(upstream, self._client, self._answer_framing, count, head, fill)
        except UpstreamSilent:
            self._cut_client()
            raise self._silent("sent nothing") from None
        except (WireClosed, BadMessage) as error:
            gone = self._client.lost
            self._cut_client()
            if gone:
                raise ExchangeFailed(GONE, sent=True) from error
            detail = f"the answer of {self._request.destination} was cut: {error}"
            raise self._failure("upstream-cut", detail) from error
        if self._upload.taken and self._answer.keep_alive and not endless and not upstream.buffer:
            self._handed.upstreams.release(self._connection)
            self._connection = None

    def _cut_client(self) -> None:
        """The client must see a cut, not an end."""
        self._keep_alive = False
        self._client.abort()

    def _silent(self, what: str) -> ExchangeFailed:
        detail = f"{self._request.destination} {what} for {self._handed.idle_timeout:g} s"
        return self._failure("upstream-timeout", detail, status=504)

    def _failure(self, kind: str, detail: str, *, status: int = 502) -> ExchangeFailed:
        problem = self._upload.fault or Problem(status=status, kind=kind, detail=detail)
        return ExchangeFailed(problem, sent=self._sent)

    async def _clean_up(self) -> None:
        # First what cannot be interrupted.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.wire.abort()
        await self._upload.stop()


class _Stale(Exception):
    """A pooled connection turned out to be closed; the request may be sent again."""


def _throw(conversation: Exchange, failure: ExchangeFailed) -> Command | None:
    try:
        return conversation.throw(failure)
    except (StopIteration, ExchangeFailed):
        return None
