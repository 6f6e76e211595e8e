"""The step of a run that sees what it has changed in its workspace, once its box is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from moat import log
from moat.files import write_atomic
from moat.run.plan import Plan
from moat.run.record import RunDirectory
from moat.workspace.changes import Before, Changes, begin, changes_since


class Accounting:
    """What the workspace held when the run began."""

    def __init__(self, before: Before) -> None:
        self._before = before
        self._listing: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Begin to list it, beside the run."""
        self._listing = asyncio.get_running_loop().run_in_executor(None, self._before.complete)

    async def changes(self) -> Changes:
        """What has changed since."""
        if self._listing is not None:
            await self._listing
        return await asyncio.to_thread(changes_since, self._before)


@contextlib.asynccontextmanager
async def accounted(
    directory: RunDirectory, plan: Plan, *, ignore: Iterable[str], notes: Iterable[str]
) -> AsyncIterator[Accounting]:
    """Write down at the end what has changed; entered before the box is made. What was made for
    its guards is ignored, and what they could not cover noted."""
    accounting = Accounting(begin(plan.workspace, ignore=ignore))
    try:
        yield accounting
    finally:
        try:
            changes = await accounting.changes()
            document = json.dumps(as_data(changes, notes)).encode() + b"\n"
            write_atomic(directory.changes, document, mode=0o600)
        except OSError:  # the run has ended as it has; that this is missing is seen in the receipt
            log.get(__name__).exception("what has changed cannot be written down")


def as_data(changes: Changes, notes: Iterable[str]) -> dict[str, Any]:
    """The changes as a program reads them."""
    told = changes._asdict()
    told["executed"] = [one._asdict() for one in changes.executed]
    return {**told, "notes": list(notes)}
