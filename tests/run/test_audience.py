"""Everybody sees what a program prints, and nobody but who drives holds it up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from moat.run import audience as module
from moat.run import control
from moat.run.audience import Audience, Seat
from moat.run.channel import Client


class Person(Client):
    """A client that takes what it is given when `reads` is set."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent = b""
        self.unsent = 0
        self.closed = False
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()

    @property
    def waiting(self) -> int:
        return self.unsent

    def send_nowait(self, data: bytes) -> None:
        self.sent += data
        self.unsent = 0 if self.reads.is_set() else self.unsent + len(data)

    async def drain(self) -> None:
        await self.reads.wait()
        self.unsent = 0

    async def close(self, patience: float | None = None) -> None:
        try:
            await asyncio.wait_for(self.drain(), patience)
        except TimeoutError:
            pass
        self.closed = True

    def frames(self) -> list[tuple[bytes, Any]]:
        """What it was sent: bytes as they are, and messages as their values."""
        data = {control.STDOUT, control.STDERR}
        found = control.Deframer().feed(self.sent)
        return [(kind, load if kind in data else json.loads(load)) for kind, load in found]


class Screen:
    def __init__(self, drawn: bytes = b"as it is") -> None:
        self.drawn = drawn

    def restore(self) -> bytes:
        return self.drawn


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 20))  # type: ignore[arg-type]


def test_all_are_shown_all_of_it() -> None:
    """On its output, in its order."""

    async def body() -> None:
        audience = Audience(None)
        people = [Person() for _ in range(3)]
        for number, person in enumerate(people):
            audience.join(Seat(person, drives=number == 0))
        await audience.show(control.STDOUT, b"one")
        await audience.show(control.STDERR, b"two")
        for person in people:
            assert [(control.STDOUT, b"one"), (control.STDERR, b"two")] == person.frames()
        assert (people[0], 2) == (audience.driver.client, audience.watchers)  # type: ignore[union-attr]

    run(body)


def test_a_new_driver_sends_the_one_before_away() -> None:
    """Who is told why, and shown no more; watchers stay."""

    async def body() -> None:
        audience = Audience(Screen())
        first, second, watcher = Person(), Person(), Person()
        audience.join(old := Seat(first, drives=True))
        audience.join(Seat(watcher, drives=False))
        audience.join(new := Seat(second, drives=True))
        assert old.left.is_set()
        assert not new.left.is_set()
        await audience.show(control.STDOUT, b"x")
        assert [(control.DETACHED, {"why": "somebody else has attached to the run"})] == (
            first.frames()
        )
        assert [(control.STDOUT, b"x")] == second.frames() == watcher.frames()

    run(body)


def test_a_driver_on_pipes_is_waited_for() -> None:
    """As any reader; until it reads, or leaves."""

    async def body() -> None:
        for leaves in (False, True):
            audience = Audience(None)
            audience.join(seat := Seat(person := Person(reads=False), drives=True))
            showing = asyncio.create_task(audience.show(control.STDOUT, bytes(module._FULL + 1)))
            await asyncio.sleep(0.1)
            assert not showing.done()
            if leaves:
                audience.leave(seat)
            else:
                person.reads.set()
            await showing
            assert 0 == seat.missed

    run(body)


def test_a_driver_at_a_terminal_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown the screen as it is once it reads again."""
    monkeypatch.setattr(module, "_STALLED", 0.05)

    async def body() -> None:
        audience = Audience(Screen())
        audience.join(seat := Seat(person := Person(reads=False), drives=True))
        await audience.show(control.STDOUT, bytes(module._FULL + 1))
        for _ in range(3):
            await audience.show(control.STDOUT, b"missed")
        assert seat.missed
        person.sent = b""
        person.reads.set()
        await asyncio.sleep(0.05)
        await audience.show(control.STDOUT, b"seen")
        skipped, *shown = person.frames()
        assert control.SKIPPED == skipped[0]
        assert [(control.STDOUT, b"as it is"), (control.STDOUT, b"seen")] == shown

    run(body)


@pytest.mark.parametrize("screen", [None, Screen()])
def test_a_watcher_is_never_waited_for(screen: Screen | None) -> None:
    """What it missed is told, or the screen drawn; what waits for it has an end."""

    async def body() -> None:
        audience = Audience(screen)
        audience.join(Seat(driver := Person(), drives=True))
        audience.join(Seat(watcher := Person(reads=False), drives=False))
        piece = bytes(100_000)
        for _ in range(100):
            await audience.show(control.STDOUT, piece)
        assert 100 == len(driver.frames())
        assert len(watcher.sent) < module._BEHIND + 300_000
        seen = len(watcher.frames())
        watcher.sent = b""
        watcher.reads.set()
        await asyncio.sleep(0.01)
        told, *drawn = watcher.frames()
        assert (control.SKIPPED, {"bytes": (100 - seen) * len(piece)}) == told
        assert drawn == ([] if screen is None else [(control.STDOUT, b"as it is")])

    run(body)


def test_a_large_screen_fits_into_frames() -> None:
    """Each is no longer than a client takes."""

    async def body() -> None:
        drawn = bytes(3 * control.MAX_FRAME)
        audience = Audience(Screen(drawn))
        audience.join(seat := Seat(person := Person(), drives=True))
        audience.show_screen(seat)
        assert drawn == b"".join(data for _, data in person.frames())

    run(body)


def test_the_end_reaches_all_who_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly a driver does; a watcher is given a while."""
    monkeypatch.setattr(module, "_LAST_WORD", 0.05)

    async def body() -> None:
        audience = Audience(None)
        audience.join(Seat(driver := Person(reads=False), drives=True))
        audience.join(Seat(watcher := Person(reads=False), drives=False))
        closing = asyncio.create_task(audience.close(control.message(control.EXIT, code=0)))
        await asyncio.sleep(0.2)
        assert (False, True) == (closing.done(), watcher.closed)
        driver.reads.set()
        await closing
        assert [(control.EXIT, {"code": 0})] == driver.frames()

    run(body)
