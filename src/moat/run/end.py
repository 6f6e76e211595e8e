"""Why a run ends that does not end by itself: somebody asked it to, or it met a limit."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from moat.core.limits import OPTIONS, Exceeded, Limits, exceeded
from moat.errors import Interrupted, MoatError
from moat.run.steps import Keeper

if TYPE_CHECKING:
    from moat.runtimes.protocols import Box

# From a signal that asks to end, to the one that does not.
GRACE = 5.0
# The exit code of a run that took too long, as timeout(1) has it.
OUT_OF_TIME = 124


class LimitExceeded(MoatError):
    """A run met a limit."""

    def __init__(self, met: Exceeded, code: int) -> None:
        option = next(option for option, name in OPTIONS.items() if name == met.limit)
        super().__init__(
            f"the run was ended: {met.text}", hint=f"if it needs more, start it with --{option}"
        )
        self.exit_code = code


class End:
    """What ends one run, and what follows from it."""

    def __init__(self, run: str, limits: Limits) -> None:
        self._run = run
        self._limits = limits
        self.stopped_by: int | None = None
        """The signal by which the run was asked to end."""
        self.exceeded: Exceeded | None = None
        """The limit that ends it."""

    @property
    def code(self) -> int | None:
        """The exit code that follows from it; None where the command's own counts."""
        if self.exceeded is not None and self.exceeded.limit == "wall":
            return OUT_OF_TIME
        return None if self.stopped_by is None else 128 + self.stopped_by

    def error(self) -> MoatError:
        """What a run that was cut short is told to have ended by."""
        if self.exceeded is not None:
            return LimitExceeded(self.exceeded, self.code or 1)
        if self.stopped_by == signal.SIGKILL:
            return MoatError(f"run {self._run} was killed")
        return Interrupted()

    def asked(self, number: int) -> bool:
        """Note that the run is asked to end; whether it was asked before."""
        again = self.stopped_by is not None
        self.stopped_by = self.stopped_by or number
        return again

    async def watch(self, box: Box, stop: Callable[[int], None]) -> None:
        """Have the run asked to end, by a signal, when it has met a limit that nothing else ends
        it at."""
        try:
            async with asyncio.timeout(self._limits.wall):
                self.exceeded = await box.wait_exceeded()
            stop(signal.SIGKILL)
        except TimeoutError:
            self.exceeded = exceeded("wall", self._limits)
            stop(signal.SIGTERM)

    def note(self, keeper: Keeper) -> None:
        """Write down that the run is ending, and what ends it."""
        keeper.exit_code = self.code
        if self.exceeded is not None:
            keeper.limit = self.exceeded
            keeper.events.add("limit", limit=self.exceeded.limit, text=self.exceeded.text)
        elif self.stopped_by is not None:
            keeper.stopped_by = signal.Signals(self.stopped_by).name
        with contextlib.suppress(OSError):  # the end is written down in any case
            keeper.set("stopping")
