"""The stand-in for the OpenAI API, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from standin import Say, Shell, StandIn, Turn

SCRIPT: Sequence[Turn] = (
    Shell("echo written by codex > from-codex.txt"),
    Say("I wrote from-codex.txt."),
)


class RunningStandIn:
    """A StandIn that serves while a test does other things."""

    def __init__(
        self, directory: Path, *, key: str, script: Sequence[Turn] = SCRIPT, **options: Any
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.server: StandIn
        self._make = lambda: StandIn(directory, key=key, script=script, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> RunningStandIn:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    async def _start(self) -> None:
        self.server = self._make()
        await self.server.start()

    async def _stop(self) -> None:
        await self.server.stop()
        # A client that is gone says no good-bye, for which TLS would wait; left open they would be
        # found when some other test is run.
        for transport in [*self._loop._transports.values()]:  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return self.server.port

    @property
    def ca_file(self) -> Path:
        """The root its certificate hangs from."""
        return self.server.ca_file
