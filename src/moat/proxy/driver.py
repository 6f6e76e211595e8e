"""Plays one exchange: carries out what the generator asks for, whichever HTTP is spoken."""

from __future__ import annotations

import asyncio
import time

from moat import log
from moat.core.secret import Secret
from moat.engine.exchange import (
    Ask,
    Command,
    Deliver,
    Exchange,
    ExchangeFailed,
    Forward,
    Inform,
    Measured,
    Record,
    Refuse,
    Resolve,
    exchange,
)
from moat.engine.messages import Request, Response
from moat.engine.problem import Problem
from moat.engine.transform import Refused
from moat.errors import MoatError, RecordError
from moat.proxy.answers import BROKEN, CHANGED, ENDED, GONE, answer_problem
from moat.proxy.h1 import BadMessage
from moat.proxy.interface import Handed
from moat.proxy.sides import ClientSide, UpstreamSide
from moat.proxy.silence import Turns
from moat.proxy.switched import Switched
from moat.proxy.transfer import PIECE, Chain, copy, pass_in_pieces
from moat.proxy.upload import Upload
from moat.proxy.upstream import UpstreamError
from moat.proxy.wire import WireClosed

# Early hints, progress (102): some servers say a few, and nobody this many.
_MOST_EARLY = 100
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "OPTIONS"})


class Play:
    """One request of a client, from its head to the end of its answer; `task` is who plays it."""

    _upstream: UpstreamSide | None = None
    _upload: Upload | None = None
    _turns: Turns | None = None
    _switched: Switched | None = None
    # Since when nothing has come from the upstream; None while nobody asks it for more.
    _reading: float | None = None
    _said = 0.0  # when the client last sent something of a body
    _sent = False
    _delivering = False
    _length: int | None = None  # of the answer's body, where it is stated
    _overdue = False
    _changed = False
    _early = 0  # how many 1xx there were
    _asking = False
    _approved = False  # by a person who was asked
    _gone = False

    def __init__(self, handed: Handed, client: ClientSide, task: asyncio.Task[None] | None) -> None:
        self._handed = handed
        self._client = client
        self._request: Request = client.request
        self._number = handed.next_number()
        self._measured = Measured(time.time(), protocol=client.protocol)
        self._clock = time.perf_counter()
        self._now = handed.live.now
        self._task = task

    async def run(self) -> None:
        """Play it to its end."""
        conversation = exchange(self._request, self._handed.session)
        live = self._handed.live
        live.add(self)
        try:
            await self._converse(conversation)
        finally:
            live.discard(self)
            conversation.close()
            if self._upstream is not None or self._upload is not None:
                await self._clean_up()

    # what looks after it

    def check(self, now: float) -> None:
        """Give an upstream up that has been silent for too long. A client that has said its last
        word may wait for an answer, but not for a person: nearly all of those have gone."""
        if self._asking and self._client.silent and self._task is not None:
            self._gone = True
            self._task.cancel()
        if self._reading is None or self._upstream is None:
            return
        asked = self._said if self._turns is None else self._turns.asked
        if asked is not None and now - max(self._reading, asked) > self._handed.idle_timeout:
            self._overdue = True
            self._upstream.abort()

    def judge(self) -> None:
        """End what the policy of now refuses: what it would ask about was answered once, and who
        said yes to this very request meant it, until a rule says otherwise."""
        verdict = self._handed.session.policy.decide(self._request)
        if verdict.action == "deny" and not (self._approved and verdict.rule is None):
            self._changed = True
            if self._task is not None:
                self._task.cancel()

    # the conversation

    async def _converse(self, conversation: Exchange) -> None:
        command: Command | None = next(conversation, None)
        while command is not None:
            try:
                reply: object = None
                if isinstance(command, Record):
                    self._record(command)
                else:
                    reply = await self._carry_out(command)
            except ExchangeFailed as failure:
                command = _throw(conversation, failure)
            except asyncio.CancelledError:
                self._note_the_end(self._let_go(conversation))
                self._client.abort()
                raise
            except Exception:
                log.get(__name__).exception("an exchange failed")
                self._cut_client()
                self._client.last = True
                command = _throw(conversation, self._failed(BROKEN))
            else:
                try:
                    command = conversation.send(reply)
                except StopIteration:
                    command = None

    def _let_go(self, conversation: Exchange) -> Command | None:
        """What is left to do when the client is gone: for a tunnel that is a good end."""
        if self._changed:
            problem = CHANGED
        elif (refused := self._refused) is not None:
            problem = refused  # whoever hangs up right then must not hide it
        elif self._overdue:
            return _throw(conversation, self._silent("sent nothing"))
        elif self._turns is not None or self._got_all:
            return conversation.send(None)
        else:
            gone = self._gone or self._client.lost or self._client.cut
            problem = GONE if gone else ENDED
        return _throw(conversation, self._failed(problem))

    @property
    def _refused(self) -> Problem | None:
        """Why it was refused to go on, if it was."""
        if self._switched is not None and self._switched.refused is not None:
            return self._switched.refused
        return self._upload.fault if self._upload is not None else None

    @property
    def _got_all(self) -> bool:
        """Whether a client that leaves has as much of a body as was stated: some do not wait for
        its end in HTTP/2."""
        return self._length is not None and self._measured.bytes_down >= self._length > 0

    async def _carry_out(self, command: Command) -> object:
        if isinstance(command, Resolve):
            return await self._resolve(command.grant)
        if isinstance(command, Forward):
            return await self._forward(command)
        if isinstance(command, Deliver):
            await self._deliver(command)
        elif isinstance(command, Inform):
            return await self._inform(command.response)
        elif isinstance(command, Ask):
            return await self._ask_person(command)
        elif isinstance(command, Refuse):
            self._refuse(command.problem)
        return None

    async def _ask_person(self, command: Ask) -> bool:
        asker = self._handed.asker
        if asker is not None:
            self._asking = True
            try:
                self._approved = await asker.ask(command.request, command.verdict)
            finally:
                self._asking = False
        return self._approved

    async def _resolve(self, grant: str) -> Secret:
        try:
            return await self._handed.credentials.resolve(grant)
        except MoatError as error:
            problem = Problem(status=502, kind="no-credential", detail=error.message)
            raise ExchangeFailed(problem) from error

    def _refuse(self, problem: Problem) -> None:
        try:
            answer_problem(self._client, problem, self._handed.session.run)
        except WireClosed:
            self._client.abort()

    def _record(self, command: Record) -> None:
        self._measured.duration = time.perf_counter() - self._clock
        try:
            self._handed.recorder.record(self._number, command.entry, self._measured)
        except RecordError as error:
            self._client.last = True
            problem = Problem(status=503, kind="not-recorded", detail=error.message)
            raise self._failed(problem) from error

    def _note_the_end(self, command: Command | None) -> None:
        if isinstance(command, Record):
            try:
                self._record(command)
            except ExchangeFailed:
                pass  # the run is ending and the ledger has said so itself

    # the way up

    async def _forward(self, command: Forward) -> Response:
        body, data = self._client.body, b""
        if not body.ended:
            upload = self._upload = Upload(
                self._client, command.through, self._count_up, trailers=command.trailers
            )
            try:
                data = upload.first()
            except Refused as refused:
                raise ExchangeFailed(refused.problem) from refused
            except BadMessage as error:
                problem = Problem(status=error.status, kind="bad-request", detail=error.reason)
                raise ExchangeFailed(problem) from error
        try:
            return await self._send_on(command, data, fresh=False)
        except _Stale:
            return await self._send_on(command, data, fresh=True)

    async def _send_on(self, command: Forward, data: bytes, *, fresh: bool) -> Response:
        request = command.request
        try:
            upstream = await self._handed.upstreams.open(
                request.destination,
                local=command.local,
                fresh=fresh,
                protocol=self._client.protocol,
            )
        except UpstreamError as error:
            raise ExchangeFailed(error.problem) from error
        self._upstream = upstream
        self._sent = True
        body = self._client.body
        over = body.ended if self._upload is None else self._upload.over
        ended = over or request.upgrade is not None
        try:
            upstream.start(request, data, end=ended and not body.trailers)
            if not ended and self._upload is not None:
                self._upload.go_on(upstream)
            elif body.trailers:
                upstream.finish(body.trailers if command.trailers else ())
            return await self._head()
        except WireClosed as error:
            repeatable = request.method in _SAFE_TO_REPEAT and ended and not data
            if upstream.reused and upstream.untouched and repeatable and not self._overdue:
                upstream.abort()
                raise _Stale from error
            raise self._unanswered() from error

    async def _head(self) -> Response:
        """The head of the next answer, which may be a 1xx. Raises WireClosed."""
        upstream = self._upstream
        assert upstream is not None
        self._reading = self._now()
        try:
            response = await upstream.head()
        except BadMessage as error:
            detail = f"the answer of {self._request.destination} is not sound: {error.reason}"
            raise self._failure("upstream-malformed", detail) from error
        self._reading = None
        self._measured.first_byte = time.perf_counter() - self._clock
        return response

    def _unanswered(self) -> ExchangeFailed:
        if self._overdue:
            return self._silent("sent no answer")
        detail = f"{self._request.destination} closed the connection without an answer"
        return self._failure("upstream-closed", detail)

    # the way down

    async def _inform(self, response: Response) -> Response:
        """Pass a 1xx on; the answer proper is still to come."""
        self._early += 1
        if self._early > _MOST_EARLY:
            detail = f"{self._request.destination} sends one 1xx after the other, and no answer"
            raise self._failure("upstream-malformed", detail)
        try:
            self._client.inform(response)
            await self._client.drain()
        except WireClosed as error:
            raise self._failed(GONE) from error
        try:
            return await self._head()
        except WireClosed as error:
            raise self._unanswered() from error

    async def _deliver(self, command: Deliver) -> None:
        upstream, client, cleaner = self._upstream, self._client, command.cleaner
        assert upstream is not None
        chain = Chain(() if cleaner is None else (cleaner,))
        try:
            if command.response.upgrade is not None:
                self._delivering = True
                client.start(command.response)
                await self._switch(upstream, command)
                return
            self._length = command.response.body
            body = upstream.body
            piece = PIECE if cleaner is None else cleaner.piece
            data = b"" if body.ended else body.take()
            self._measured.bytes_down += len(data)
            rest = b""
            if chain:
                data, rest = data[:piece], data[piece:]
                data = chain.feed(data, end=body.ended and not rest)
            whole = body.ended and not body.trailers and not rest
            self._delivering = True
            client.start(command.response, data, end=whole)
            if rest:
                await pass_in_pieces(chain, rest, client, piece=piece, end=body.ended)
            if not whole:
                fields = None if cleaner is None else cleaner.fields
                await copy(
                    body,
                    client,
                    chain,
                    self._count_down,
                    read=self._read,
                    fields=fields,
                    piece=piece,
                )
        except Refused as refused:
            self._cut_client()
            raise self._failed(refused.problem) from refused
        except (WireClosed, BadMessage) as error:
            gone = client.lost
            self._cut_client()
            if self._overdue:
                raise self._silent("sent nothing") from None
            if gone:
                raise self._failed(GONE) from error
            detail = f"the answer of {self._request.destination} was cut: {error}"
            raise self._failure("upstream-cut", detail) from error
        upstream.release()
        self._upstream = None

    def _cut_client(self) -> None:
        """Who has got half an answer must see a cut, and not an end."""
        if self._delivering:
            self._client.abort()

    async def _read(self) -> bytes:
        """The next of the answer's body."""
        assert self._upstream is not None
        self._reading = self._now()
        data = await self._upstream.body.read()
        self._reading = None
        return data

    async def _switch(self, upstream: UpstreamSide, command: Deliver) -> None:
        """Pass on what both sides say from now on. Raises WireClosed, or Refused."""
        turns = self._turns = Turns()
        switched = self._switched = Switched(
            self._client,
            upstream,
            read=self._read,
            turns=turns,
            now=self._now,
            count_up=self._count_up,
            count_down=self._count_down,
        )
        await switched.run(command.watching, command.cleaner)
        if self._overdue:
            raise WireClosed("the upstream was silent")

    # what went by, and what went wrong

    def _count_up(self, size: int) -> None:
        self._measured.bytes_up += size
        self._said = self._now()

    def _count_down(self, size: int) -> None:
        self._measured.bytes_down += size

    def _silent(self, what: str) -> ExchangeFailed:
        detail = f"{self._request.destination} {what} for {self._handed.idle_timeout:g} s"
        return self._failure("upstream-timeout", detail, status=504)

    def _failure(self, kind: str, detail: str, *, status: int = 502) -> ExchangeFailed:
        problem = self._refused or Problem(status=status, kind=kind, detail=detail)
        return self._failed(problem)

    def _failed(self, problem: Problem) -> ExchangeFailed:
        return ExchangeFailed(problem, sent=self._sent, delivered=self._delivering)

    async def _clean_up(self) -> None:
        # First what cannot be interrupted.
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        if self._upload is not None:
            await self._upload.stop()


class _Stale(Exception):
    """A pooled connection turned out to be closed; the request may be sent again."""


def _throw(conversation: Exchange, failure: ExchangeFailed) -> Command | None:
    try:
        return conversation.throw(failure)
    except (StopIteration, ExchangeFailed):
        return None
