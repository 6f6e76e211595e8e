"""A run as far as questions need one: a policy, an asker, and requests that wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from moat.core.hosts import Destination
from moat.engine.messages import Request
from moat.engine.policy import Mode, Policy, Verdict
from moat.engine.rules import PathRule, Rule, host_rule
from moat.engine.session import RunSession
from moat.run.asking import Asker
from moat.run.deciding import Decision
from moat.run.decisions import Decisions


class Run:
    """A run as far as an asker needs one; `decide` is what its proxy would do."""

    def __init__(self, file: Path, *rules: str, mode: Mode = "ask", timeout: float = 60) -> None:
        words = (rule.split() for rule in rules)
        policy = Policy(
            tuple(host_rule(host, "option", action) for action, host in words),  # type: ignore[arg-type]
            mode,
        )
        self.session = RunSession("0123456789", policy)
        self.file = file
        self.enforced: list[Policy] = []
        self.asker = Asker(
            self,  # type: ignore[arg-type]
            Decisions(file),
            timeout=timeout,
            enforce=lambda: self.enforced.append(self.session.policy),
        )

    async def decide(self, host: str, target: str = "/", method: str = "GET") -> bool:
        """Whether a request may go."""
        request = Request(method, Destination.parse("https", host), target, ())
        verdict = self.verdict(host, target, method)
        if verdict.action != "ask":
            return verdict.allowed
        return await self.asker.ask(request, verdict)

    def verdict(self, host: str, target: str = "/", method: str = "GET") -> Verdict:
        """What policy says of a request."""
        request = Request(method, Destination.parse("https", host), target, ())
        return self.session.policy.decide(request)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that hold."""
        return self.session.policy.rules

    def starts(self, host: str, target: str = "/", method: str = "GET") -> asyncio.Task[bool]:
        """A request that begins to wait."""
        return asyncio.create_task(self.decide(host, target, method))

    def written(self) -> list[tuple[str, str, str, str]]:
        """What was written down."""
        if not self.file.exists():
            return []
        lines = map(json.loads, self.file.read_text().splitlines())
        return [(x["action"], x["subject"], x["extent"], x["by"]) for x in lines]

    def do(self, action: Any, host: str, extent: Any = "run", line: str | None = None) -> int:
        """Decide for the run."""
        parsed = None if line is None else PathRule.parse(f"{action} {line}")
        return self.asker.decide(Decision.about(host, action, extent, "me", parsed))


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Let an event loop carry it through."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story()

    asyncio.run(bounded())


async def settled(*tasks: asyncio.Task[bool]) -> list[bool | None]:
    """How each has ended after everybody had a turn; None for one that waits."""
    for _ in range(10):
        await asyncio.sleep(0)
    return [task.result() if task.done() else None for task in tasks]
