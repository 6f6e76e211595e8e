"""A program in a box, with those who look at it: what it prints goes out, what is typed goes in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from moat import log
from moat.errors import MoatError
from moat.run import control
from moat.run.audience import Audience, Seat
from moat.runtimes.descriptors import read_some, write_all

if TYPE_CHECKING:
    from moat.runtimes.protocols import Process

# How long an output may bring nothing, once all that could write to it has ended.
_DRAIN_SECONDS = 1.0
# Bytes of output that are taken at a time: at least, at a terminal, in a pipe; seconds that this
# may take before it is fewer.
_LEAST_AT_ONCE, _MOST_DRAWN, _MOST_AT_ONCE = 1 << 8, 1 << 13, 1 << 16
_LONG = 0.02
# Bytes of answers to a program that asks its terminal and does not listen.
_MOST_ANSWERS = 1 << 16


class Keeps(Protocol):
    """Where output is kept."""

    def write(self, data: bytes) -> None:
        """Append. Raises RecordError."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Note that the terminal has another size."""
        ...


class Terminal(Protocol):
    """A terminal as the program is given one: it answers, and holds back what others must not."""

    def feed(self, data: bytes) -> Heard:
        """What the program prints."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Change its size."""
        ...

    def restore(self) -> bytes:
        """What draws the screen as it is."""
        ...

    def learn(self, place: Mapping[str, Any]) -> None:
        """Another terminal of a person's shows it from here on."""
        ...


class Heard(Protocol):
    """What of an output may be shown, and what the program is answered."""

    @property
    def shown(self) -> bytes: ...

    @property
    def answer(self) -> bytes: ...


class Pace:
    """How much of an output is taken at a time, so that no time takes long: what a terminal is made
    to do by a few bytes can be much."""

    def __init__(self, most: int) -> None:
        self.size = self._most = most

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self._began
        if took > _LONG:
            self.size = max(_LEAST_AT_ONCE, self.size // 4)
        elif took < _LONG / 4:
            self.size = min(self._most, self.size * 2)


class Program:
    """One program.

    `terminal` makes what it runs on of what the driver's tells of itself (control.PLACE), None
    for pipes; `size` is how large that is. What a driver says goes to `stop`, the number of a
    signal, and `said`, a frame that is about something else.
    """

    def __init__(
        self,
        *,
        terminal: Callable[[Mapping[str, Any]], Terminal] | None,
        size: tuple[int, int] | None,
        stop: Callable[[int], None],
        said: Callable[[bytes, bytes], None],
    ) -> None:
        self._process: Process | None = None
        self._keeps: Keeps
        self._clear: Callable[[], Awaitable[None]]
        self._size = size  # of the terminal
        self._resized = False
        self._make_terminal = terminal
        self._terminal: Terminal | None = None
        self._place: Mapping[str, Any] = {}
        self._stop = stop
        self._said = said
        self.audience = Audience(self if terminal is not None else None)
        self._stdin: asyncio.Queue[tuple[bytes, Seat | None] | None] = asyncio.Queue()
        self._answers = 0  # bytes in that queue
        self._input_ended = False
        self._passing: dict[bytes, asyncio.Task[None]] = {}  # outputs, by the kind of their frames
        self._passed = 0  # bytes of output
        self._pace = Pace(_MOST_DRAWN if terminal is not None else _MOST_AT_ONCE)
        self._sending: set[bytes] = set()  # outputs whose reader is slow just now
        self._unread: set[bytes] = set()  # those that nobody reads any more

    @property
    def size(self) -> tuple[int, int] | None:
        """Of its terminal, in rows and columns; None on pipes."""
        return self._size

    # what goes through

    async def run(
        self,
        process: Process,
        keeps: Keeps,
        *,
        clear: Callable[[], Awaitable[None]],
        gone: Callable[[], Awaitable[None]],
    ) -> int:
        """Pass everything on until the program has ended; its exit code.

        `clear` is awaited before anything is shown; `gone` once the program has ended, before what
        it printed last. Raises MoatError.
        """
        self._process, self._keeps, self._clear = process, keeps, clear
        if self._resized and self._size is not None:
            self._resized = False
            self.resize(*self._size, force=True)
        outputs = [(process.stdout, control.STDOUT)]
        if process.stderr is not None:
            outputs.append((process.stderr, control.STDERR))
        feeding = asyncio.create_task(self._feed(process))
        try:
            for descriptor, kind in outputs:
                self._passing[kind] = asyncio.create_task(self._pass_on(descriptor, kind))
            ending = asyncio.create_task(process.wait())
            try:
                await self._until(ending)
            finally:
                ending.cancel()
            await gone()
            await self._drain()
            return ending.result()
        finally:
            tasks = [feeding, *self._passing.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until(self, ending: asyncio.Task[int]) -> None:
        """Wait for the end, or for an output that could not be kept, which is raised."""
        waiting: set[asyncio.Task[int] | asyncio.Task[None]] = {ending, *self._passing.values()}
        while not ending.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            self._raise_from(done - {ending})

    @staticmethod
    def _raise_from(tasks: set[asyncio.Task[int] | asyncio.Task[None]]) -> None:
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _drain(self) -> None:
        """Wait for what was printed last.

        All that was in the box is gone: an output that brings nothing and does not end is held
        open by somebody it was handed to, in another run or of another user.
        """
        while rest := [task for task in self._passing.values() if not task.done()]:
            before = self._passed
            await asyncio.wait(rest, timeout=_DRAIN_SECONDS)
            if self._passed == before and not self._sending:
                break
        self._raise_from({task for task in self._passing.values() if task.done()})

    async def _pass_on(self, descriptor: int, kind: bytes) -> None:
        try:
            while data := await read_some(descriptor, self._pace.size):
                self._passed += len(data)
                self._keeps.write(data)
                self._sending.add(kind)
                await self._clear()
                with self._pace:
                    shown = self._heard(data)
                if shown:
                    await self.audience.show(kind, shown)
                self._sending.discard(kind)
                # Who prints without a pause does not keep others from their turn.
                await asyncio.sleep(0)
        finally:
            if kind in self._unread:
                # The box's end of the pipe breaks: the command learns of it as in any pipe.
                nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                os.dup2(nothing, descriptor, inheritable=False)
                os.close(nothing)

    def _heard(self, data: bytes) -> bytes:
        """What may be shown of an output; what the program asks its terminal is answered."""
        if self._make_terminal is None:
            return data
        heard = self._screen().feed(data)
        if heard.answer and self._answers < _MOST_ANSWERS:
            self._answers += len(heard.answer)
            self._stdin.put_nowait((heard.answer, None))
        return heard.shown

    def _screen(self) -> Terminal:
        if self._terminal is None:
            assert self._make_terminal is not None
            self._terminal = self._make_terminal(self._place)
        return self._terminal

    def restore(self) -> bytes:
        """What draws the screen as it is."""
        return self._screen().restore()

    async def _feed(self, process: Process) -> None:
        while (item := await self._stdin.get()) is not None:
            data, seat = item
            try:
                await write_all(process.stdin, data)
            except BrokenPipeError:
                pass  # the command has closed its input; the client may go on sending
            if seat is None:
                self._answers -= len(data)
            else:
                seat.tell(control.message(control.STDIN_TAKEN, bytes=len(data)))
        process.close_stdin()

    def end_input(self) -> None:
        """Let the program see the end of its input; a terminal has none."""
        if self._make_terminal is None and not self._input_ended:
            self._input_ended = True
            self._stdin.put_nowait(None)

    # what a client says

    async def serve(self, seat: Seat) -> None:
        """Hear a client of the audience until it leaves or is sent away."""
        hearing = asyncio.create_task(self._hear_all(seat))
        leaving = asyncio.create_task(seat.left.wait())
        try:
            await asyncio.wait({hearing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            leaving.cancel()
            self.audience.leave(seat)
            if seat.drives and self._make_terminal is None:
                self.end_input()  # nobody else can go on with it

    async def _hear_all(self, seat: Seat) -> None:
        deframer = control.Deframer()
        try:
            while data := await seat.client.receive():
                for kind, payload in deframer.feed(data):
                    if kind == control.DETACH:
                        return
                    self._hear(seat, kind, payload)
        except (control.ProtocolError, ValueError, KeyError, TypeError):
            log.get(__name__).exception("a client cannot be understood")

    def _hear(self, seat: Seat, kind: bytes, payload: bytes) -> None:
        if not seat.drives:
            return  # who watches has no say
        if kind == control.STDIN:
            self._stdin.put_nowait((payload, seat))
        elif kind == control.STDIN_END:
            self.end_input()
        elif kind == control.RESIZE:
            size = json.loads(payload)
            self.resize(int(size["rows"]), int(size["columns"]))
        elif kind == control.PLACE:
            self._place = json.loads(payload)
            if self._terminal is not None:
                self._terminal.learn(self._place)
        elif kind == control.SIGNAL:
            self._stop(int(json.loads(payload)["number"]))
        elif kind == control.CLOSED and payload in self._passing:
            seat.unread.add(payload)
            self._unread.add(payload)
            self._passing[payload].cancel()
        else:
            self._said(kind, payload)

    def resize(self, rows: int, columns: int, *, force: bool = False) -> None:
        """Give the terminal another size; without one, nothing happens."""
        if self._make_terminal is None or not (0 < rows < 10_000 and 0 < columns < 10_000):
            return
        if (rows, columns) == self._size and not force:
            return
        self._size = rows, columns
        self._resized = self._process is None  # told as soon as there is one
        if self._process is not None:
            self._screen().resize(rows, columns)
            with contextlib.suppress(MoatError):  # the next that is printed says so
                self._keeps.resize(rows, columns)
            self._process.resize(rows, columns)
