"""A run as commands of a live run see one: a record, a lock, a policy, and requests that wait."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from moat.core.hosts import Destination, Scheme
from moat.engine.messages import Request
from moat.engine.policy import Mode, Policy
from moat.engine.session import RunSession
from moat.run.asking import Asker
from moat.run.command_server import CommandServer
from moat.run.commands import Commands
from moat.run.decisions import Decisions
from moat.run.record import RunDirectory, RunRecord

T = TypeVar("T")


@dataclass
class _Handed:
    session: RunSession


class LiveRun:
    """It lives in this process, as long as the context does."""

    def __init__(
        self, home: Path, run: str = "dc1eh6tndp", name: str | None = None, mode: Mode = "ask"
    ) -> None:
        self.directory = RunDirectory(home / "runs", run)
        self.handed = _Handed(RunSession(run, Policy(mode=mode)))
        self._record = RunRecord(run, "running", 1000.0, "/w", ("true",), name=name)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> LiveRun:
        (self.directory.root.parent).mkdir(mode=0o700, exist_ok=True)
        self._lock = self.directory.create()
        self.directory.write(self._record)
        self._thread.start()
        self._do(self._start())
        return self

    async def _start(self) -> None:
        decisions = Decisions(self.directory.decisions)
        self.asker = Asker(self.handed, decisions, timeout=60, enforce=lambda: None)  # type: ignore[arg-type]
        commands = Commands(self.directory.root.name, self.asker, {})
        self._server = CommandServer(self.directory.root, commands.obey)
        await self._server.listen()
        self._tasks: list[asyncio.Task[bool]] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()
        os.close(self._lock)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def asks(self, *hosts: str) -> None:
        """Let requests wait, whose number is how many came before, and one."""

        async def begin() -> None:
            for host in hosts:
                self._tasks.append(asyncio.create_task(self._decide(host)))
                await asyncio.sleep(0)

        self._do(begin())

    async def _decide(
        self, host: str, target: str = "/", method: str = "GET", scheme: Scheme = "https"
    ) -> bool:
        request = Request(method, Destination.parse(scheme, host), target, ())
        verdict = self.handed.session.policy.decide(request)
        return verdict.allowed or (
            verdict.action == "ask" and await self.asker.ask(request, verdict)
        )

    def answers(self) -> list[bool | None]:
        """What became of each request; None for one that waits."""

        async def look() -> list[bool | None]:
            await asyncio.sleep(0.05)
            return [task.result() if task.done() else None for task in self._tasks]

        return self._do(look())

    def may_go(
        self, host: str, target: str = "/", method: str = "GET", *, scheme: Scheme = "https"
    ) -> bool | None:
        """What becomes of a request now; None if it would wait."""

        async def begin() -> None:
            deciding = self._decide(host, target, method, scheme)
            self._tasks.append(asyncio.create_task(deciding))
            await asyncio.sleep(0)

        self._do(begin())
        return self.answers()[-1]

    def decisions(self) -> list[tuple[str, str, str, str]]:
        """What was written down."""
        lines = map(json.loads, self.directory.decisions.read_text().splitlines())
        return [(x["action"], x["subject"], x["extent"], x["by"]) for x in lines]
