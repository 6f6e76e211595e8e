"""Starting a run from Python, following it, and looking after those there are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

from moat.api.plans import find_home
from moat.config.paths import Home
from moat.errors import MoatError
from moat.run import control
from moat.run.ending import end_run
from moat.run.grants import open_grants
from moat.run.joining import join
from moat.run.lost import close_lost
from moat.run.plan import Plan
from moat.run.receipt import Receipt, receipt_of
from moat.run.record import RunDirectory, RunRecord, find_run, get_live_run, list_runs
from moat.run.sending import send
from moat.run.spawned import spawn_supervisor
from moat.tools.catalogue import get_tool
from moat.tools.install import ensure_tool
from moat.tools.places import is_installed
from moat.vault.store import Store

Stream: TypeAlias = Literal["stdout", "stderr"]
_STREAMS: dict[bytes, Stream] = {control.STDOUT: "stdout", control.STDERR: "stderr"}
_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """The command was let go."""

    run: str


@dataclass(frozen=True, slots=True)
class Output:
    """What it printed; at a terminal all of it is "stdout", and filtered for one."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """A request waits for an answer, as policy leaves it open: `Run.answer` gives one. No output
    comes until then."""

    id: int
    host: str
    method: str
    url: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: its exit code, and what went wrong that was not the command's own affair."""

    code: int
    error: MoatError | None


Event: TypeAlias = Started | Output | Question | Ended


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
        self._waiting: list[Event] = []
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
        finally:
            self._writer.transport.abort()

    # what comes

    async def events(self) -> AsyncIterator[Event]:
        """What happens, as it happens; the last one is an `Ended`. A run whose output nobody reads
        is held up by it, as any pipe's writer is. Raises MoatError if its supervisor dies."""
        while self._ended is None:
            event = await self._next()
            if event is not None:
                yield event

    async def wait(self) -> Ended:
        """Wait for the end, reading what nobody has read. Raises MoatError as `events` does."""
        while self._ended is None:
            await self._next()
        return self._ended

    async def wait_begun(self) -> None:
        """Wait until there is an event; from then on there is a record."""
        async with self._reading:
            await self._fetch()

    async def _next(self) -> Event | None:
        async with self._reading:
            await self._fetch()
            if not self._waiting:
                return None
            event = self._waiting.pop(0)
            if isinstance(event, Ended):
                self._ended = event
            return event

    async def _fetch(self) -> None:
        """Wait until there is an event that was not given out, or none can come."""
        while not self._waiting and self._ended is None:
            data = await self._read()
            for kind, payload in self._deframer.feed(data):
                if (event := self._hear(kind, payload)) is not None:
                    self._waiting.append(event)

    async def _read(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            if data := await self._reader.read(1 << 16):
                return data
        self._ended = Ended(1, MoatError("the run's supervisor died", hint="run: moat doctor"))
        assert self._ended.error is not None
        raise self._ended.error

    def _hear(self, kind: bytes, payload: bytes) -> Event | None:
        if kind in _STREAMS:
            return Output(_STREAMS[kind], payload)
        if kind == control.STDIN_TAKEN:
            self._window += int(json.loads(payload)["bytes"])
            self._room.set()
        elif kind == control.STARTED:
            return Started(self.id)
        elif kind == control.QUESTION:
            said = json.loads(payload)
            return Question(said["id"], said["host"], said["method"], said["url"])
        elif kind == control.DETACHED:
            why = str(json.loads(payload)["why"])
            return Ended(0, MoatError(f"run {self.id} goes on without us: {why}"))
        elif kind == control.EXIT:
            said = json.loads(payload)
            error = None if said["error"] is None else MoatError(said["error"], hint=said["hint"])
            return Ended(int(said["code"]), error)
        return None

    # what goes

    async def write(self, data: bytes) -> None:
        """Type or pipe something in; waits where it is not taken, which `events` must see."""
        view = memoryview(data)
        while view:
            while self._window <= 0:
                self._room.clear()
                await self._room.wait()
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

    async def stop(self, *, grace: float = _GRACE) -> RunRecord:
        """Ask it to end, and see that it does within some seconds; with 0 it is not asked."""
        ending = asyncio.create_task(
            asyncio.to_thread(end_run, self._home.runs, self.id, grace=grace)
        )
        with contextlib.suppress(MoatError):
            await self.wait()  # its last output must go somewhere
        return await ending

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


@contextlib.asynccontextmanager
async def start(plan: Plan, *, home: Path | None = None) -> AsyncIterator[Run]:
    """Start a plan, and end it with the context unless it was detached. `home` is that of `plan`.

    What is missing of its tools is installed first. Raises MoatError.
    """
    place = find_home(home)
    await asyncio.to_thread(_make_ready, plan, place)
    channel = await asyncio.to_thread(spawn_supervisor)
    send(channel, plan, place)
    async with Run(plan.run, place, channel, owns=True) as run:
        await run.wait_begun()
        yield run


def _make_ready(plan: Plan, home: Home) -> None:
    close_lost(home)
    open_grants(Store(home.credentials), plan.grants).refuse_in(plan)
    for tool in plan.tools:
        if not is_installed(tool.directory):
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123
                from moat.tools.progress import progress_on

                ensure_tool(get_tool(tool.name), home=home.root, progress=progress_on(nowhere))


@contextlib.asynccontextmanager
async def attach(
    run: str | None = None, *, watch: bool = False, home: Path | None = None
) -> AsyncIterator[Run]:
    """Take part in a live run by id, beginning of an id, or name; without, the only one. It goes on
    when the context ends. Raises MoatError."""
    place = find_home(home)
    record = get_live_run(place.runs, run)
    with join(
        RunDirectory(place.runs, record.run).root, {"do": "attach", "watch": watch}
    ) as joined:
        async with Run(record.run, place, joined.channel, owns=False) as taking_part:
            yield taking_part


def runs(*, home: Path | None = None) -> list[RunRecord]:
    """Every run there is a record of, the newest first."""
    return list_runs(find_home(home).runs)


def find(run: str | None = None, *, home: Path | None = None) -> RunRecord:
    """The run of an id, a beginning of one, or a name; the latest without. Raises MoatError."""
    return find_run(find_home(home).runs, run)


def receipt(run: str | None = None, *, home: Path | None = None) -> Receipt:
    """What came of a run. Raises MoatError."""
    place = find_home(home)
    record = find_run(place.runs, run)
    return receipt_of(RunDirectory(place.runs, record.run), record)


def stop(run: str, *, grace: float = _GRACE, home: Path | None = None) -> RunRecord:
    """End a live run: asked first, and killed after some seconds. Blocks. Raises MoatError."""
    place = find_home(home)
    return end_run(place.runs, get_live_run(place.runs, run).run, grace=grace)


def kill(run: str, *, home: Path | None = None) -> RunRecord:
    """End a live run at once. Blocks. Raises MoatError."""
    return stop(run, grace=0, home=home)
