"""Everybody who is shown what a program in the box prints, each in their own time.

At most one of them drives: types, and is waited for, as any pipe or terminal waits for its
reader. All others watch: who cannot keep up misses something, and is told or shown the screen as
it is once they can. So nobody but the driver can hold up a run, and at a terminal not even the
driver for long.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from moat.run import control
from moat.run.channel import Client

# Bytes that wait for a driver before it is waited for, and for a client who only watches before it
# has fallen behind.
_FULL, _BEHIND = 1 << 16, 1 << 20
_PIECE = 1 << 16
# Seconds that the screen of a driver may take nothing before the run goes on without it.
_STALLED = 5.0
# Seconds in which a watcher may still read how it ended.
_LAST_WORD = 5.0


class Screen(Protocol):
    """What is shown at a terminal, as it can be shown to who comes later."""

    def restore(self) -> bytes:
        """What draws the whole of it."""
        ...


class Seat:
    """One client's place among them."""

    def __init__(self, client: Client, *, drives: bool) -> None:
        self.client = client
        self.drives = drives
        self.missed = 0  # bytes of output, since it fell behind
        self.unread: set[bytes] = set()  # outputs that it reads no more
        self.left = asyncio.Event()

    def tell(self, data: bytes) -> None:
        """Send a frame behind all that was sent."""
        self.client.send_nowait(data)


class Audience:
    """Who looks at a program. `screen` is its terminal, None on pipes."""

    def __init__(self, screen: Screen | None) -> None:
        self._screen = screen
        self._seats: list[Seat] = []
        self._catching_up: set[asyncio.Task[None]] = set()

    @property
    def driver(self) -> Seat | None:
        """Who drives; None if nobody does."""
        return next((seat for seat in self._seats if seat.drives), None)

    @property
    def watchers(self) -> int:
        """How many only watch."""
        return sum(not seat.drives for seat in self._seats)

    def join(self, seat: Seat) -> None:
        """Let somebody look from now on; who drove until now leaves to a new driver."""
        if seat.drives and (before := self.driver) is not None:
            self.dismiss(before, "somebody else has attached to the run")
        self._seats.append(seat)

    def show_screen(self, seat: Seat) -> None:
        """Draw at a client what is on the screen."""
        if self._screen is None:
            return
        drawn = self._screen.restore()
        for at in range(0, len(drawn), _PIECE):  # a large screen is more than a frame may hold
            seat.tell(control.frame(control.STDOUT, drawn[at : at + _PIECE]))

    def dismiss(self, seat: Seat, why: str) -> None:
        """Send somebody away."""
        seat.tell(control.message(control.DETACHED, why=why))
        self.leave(seat)

    def leave(self, seat: Seat) -> None:
        """Show no more to somebody."""
        if seat in self._seats:
            self._seats.remove(seat)
        seat.left.set()

    async def show(self, kind: bytes, data: bytes) -> None:
        """Show output to all; waits for a driver who is slow, as for any reader."""
        frame = control.frame(kind, data)
        for seat in self._seats:
            if not seat.drives:
                self._offer(seat, frame, len(data))
        driver = self.driver
        if driver is None or kind in driver.unread:
            return
        if driver.missed:
            driver.missed += len(data)
            return
        driver.tell(frame)
        if driver.client.waiting <= _FULL:
            return
        patience = None if self._screen is None else _STALLED
        if not await _drained(driver, patience):
            self._let_catch_up(driver, 1)

    def tell(self, data: bytes) -> None:
        """Send a frame to all."""
        for seat in self._seats:
            seat.tell(data)

    async def close(self, last: bytes) -> None:
        """Say a last thing to all, and see that it reaches who reads."""
        seats, self._seats = self._seats, []
        for task in self._catching_up:
            task.cancel()
        for seat in seats:
            seat.tell(last)
        # Whoever drives has all of it, as a pipe would hold it, however slowly it is read.
        patience = (None if seat.drives else _LAST_WORD for seat in seats)
        await asyncio.gather(
            *(seat.client.close(seconds) for seat, seconds in zip(seats, patience, strict=True))
        )

    def _offer(self, seat: Seat, frame: bytes, size: int) -> None:
        if seat.missed:
            seat.missed += size
        elif seat.client.waiting > _BEHIND:
            self._let_catch_up(seat, size)
        else:
            seat.tell(frame)

    def _let_catch_up(self, seat: Seat, missed: int) -> None:
        seat.missed = missed
        task = asyncio.create_task(self._catch_up(seat))
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)

    async def _catch_up(self, seat: Seat) -> None:
        await seat.client.drain()
        missed, seat.missed = seat.missed, 0
        seat.tell(control.message(control.SKIPPED, bytes=missed))
        if self._screen is not None:
            self.show_screen(seat)


async def _drained(seat: Seat, patience: float | None) -> bool:
    """Whether a client has taken what waits for it, or has left, within some seconds."""
    works = [asyncio.ensure_future(seat.client.drain()), asyncio.ensure_future(seat.left.wait())]
    try:
        done, _ = await asyncio.wait(works, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for work in works:
            work.cancel()
