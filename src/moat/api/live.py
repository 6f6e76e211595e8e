"""A live run that a Python program takes part in: what comes of it, and what is said to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Literal

from moat.api.events import Ended, Event, Question, Started, event_of
from moat.config.paths import Home
from moat.errors import MoatError
from moat.run import control
from moat.run.ending import end_run
from moat.run.finding import find_run
from moat.run.receipt import Receipt, receipt_of
from moat.run.record import RunDirectory, RunRecord

GRACE = 5.0
# Seconds a run that is to end may take until it has begun.
_BEGINNING = 30.0


class Run:
    """A live run that this program takes part in, as an async context manager.

    One that was started here is ended with the context, unless `detach` was called.
    """

    def __init__(self, run: str, home: Home, channel: socket.socket, *, owns: bool) -> None:
        self.id = run
        self._home = home
        self._directory = RunDirectory(home.runs, run)
        self._channel = channel
        self._owns = owns
        self._deframer = control.Deframer()
        self._window = control.STDIN_WINDOW
        self._room = asyncio.Event()
        self._reading = asyncio.Lock()
        self._waiting: deque[Event] = deque()
        self._begun = False
        self._deaf = False
        self._ended: Ended | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Run:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._ended is None and self._owns:
                await self.stop()
        except MoatError:
            if error is None:
                raise
        finally:
            self._writer.transport.abort()
            self._end_writing()

    # what comes

    async def events(self) -> AsyncIterator[Event]:
        """What happens, as it happens; the last one is an `Ended`. A run whose output nobody reads
        is held up by it, as any pipe's writer is. Raises MoatError if its supervisor dies."""
        while (event := await self._next()) is not None:
            yield event
            if isinstance(event, Ended):
                return
        assert self._ended is not None
        yield self._ended  # somebody else has read it

    async def wait(self) -> Ended:
        """Wait for the end, reading what nobody has read. Raises MoatError as `events` does."""
        while await self._next() is not None:
            pass
        assert self._ended is not None
        return self._ended

    async def _next(self) -> Event | None:
        """The next event; None once the last was given out."""
        async with self._reading:
            await self._fetch()
            if not self._waiting:
                return None
            event = self._waiting.popleft()
            if isinstance(event, Ended):
                self._end(event)
            return event

    async def _wait_begun(self) -> None:
        """Wait until the run can be told things, or has ended; what has come is kept."""
        async with self._reading:
            while not self._begun and self._ended is None:
                await self._take()

    async def _fetch(self) -> None:
        """Wait until there is an event that was not given out, or none can come."""
        while not self._waiting and self._ended is None:
            await self._take()

    async def _take(self) -> None:
        """Wait for something from the supervisor, and keep what is an event."""
        for kind, payload in self._deframer.feed(await self._read()):
            if kind == control.STDIN_TAKEN:
                self._window += int(json.loads(payload)["bytes"])
                self._room.set()
            elif (event := event_of(self.id, kind, payload)) is not None:
                self._waiting.append(event)
                self._begun = self._begun or isinstance(event, Started | Ended)

    async def _read(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            if data := await self._reader.read(1 << 16):
                return data
        error = MoatError("the run's supervisor died, and the run with it")
        self._end(Ended(1, error))
        raise error

    def _end(self, ended: Ended) -> None:
        self._ended = ended
        self._end_writing()

    def _end_writing(self) -> None:
        """Nothing is taken any more: who waits for room goes on, and what is written is dropped."""
        self._deaf = True
        self._room.set()

    # what goes

    async def write(self, data: bytes) -> None:
        """Type or pipe something in; waits where it is not taken, which `events` must see. Once the
        run has ended nothing becomes of it."""
        view = memoryview(data)
        while view and not self._deaf:
            if self._window <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            part = view[: self._window]
            self._window -= len(part)
            await self._send(control.frame(control.STDIN, bytes(part)))
            view = view[len(part) :]

    async def end_input(self) -> None:
        """End standard input; a terminal has no end."""
        await self._send(control.frame(control.STDIN_END))

    async def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""
        await self._send(control.message(control.RESIZE, rows=rows, columns=columns))

    async def answer(
        self,
        question: Question,
        action: Literal["allow", "deny"],
        extent: Literal["once", "run"] = "run",
    ) -> None:
        """Answer what a request waits for; for it alone, or to the end of the run."""
        await self._send(
            control.message(control.ANSWER, id=question.id, action=action, extent=extent)
        )

    async def signal(self, number: int) -> None:
        """Send the command a signal; the run ends with it, or a little later."""
        await self._send(control.message(control.SIGNAL, number=int(number)))

    def detach(self) -> None:
        """Let it go on when this context ends."""
        self._owns = False

    async def stop(self, *, grace: float = GRACE) -> RunRecord:
        """Ask it to end, and see that it does within some seconds; with 0 it is not asked."""
        if self._owns and not self._begun:  # until then nobody could be told
            with contextlib.suppress(MoatError, TimeoutError):
                await asyncio.wait_for(self._wait_begun(), _BEGINNING)
        ending = asyncio.create_task(
            asyncio.to_thread(end_run, self._home.runs, self.id, grace=grace)
        )
        with contextlib.suppress(MoatError):
            await self.wait()  # its last output must go somewhere
        return await ending

    async def kill(self) -> RunRecord:
        """End it at once."""
        return await self.stop(grace=0)

    async def _send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    # what is known of it

    def record(self) -> RunRecord:
        """Its record as it stands. Raises MoatError."""
        return find_run(self._home.runs, self.id)

    def receipt(self) -> Receipt:
        """What came of it, as far as it has come. Raises MoatError."""
        return receipt_of(self._directory, self.record())

    # how it is started

    async def begin(self, plan: bytes) -> None:
        """Give the supervisor its plan, and wait until the command runs, or has run.

        Raises MoatError where it never did.
        """
        await self._send(plan)
        await self._wait_begun()
        last = self._waiting[-1]
        if isinstance(last, Ended) and last.error is not None and self._failed():
            self._end(last)
            raise last.error

    def _failed(self) -> bool:
        record = self._directory.read()
        return record is None or record.state == "failed"
