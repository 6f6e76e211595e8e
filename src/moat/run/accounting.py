"""The step of a run that sees what it has changed in its workspace, once its box is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from moat import log
from moat.files import write_atomic
from moat.run.guarding import Guarded
from moat.run.plan import Plan
from moat.run.record import RunDirectory
from moat.workspace.before import NOTHING_HELD, Held, Ignored, begin
from moat.workspace.changes import Changes, changes_since, together
from moat.workspace.walk import is_too_deep

_SHOWN = 80  # characters of a path that is thousands long


class Accounting:
    """What the workspace of a plan held when the run began, and the repository that it is a work
    tree of; made right before the box is. `held` is what the box cannot move, below a root."""

    def __init__(
        self, plan: Plan, ignored: Ignored, held: Callable[[Path], Held] = lambda _: NOTHING_HELD
    ) -> None:
        self._workspace = begin(plan.workspace, ignored=ignored, held=held(plan.workspace))
        self._common = [
            begin(directory, ignored=ignored, held=held(directory), own=True)
            for directory in (plan.git_directory,)
            if directory is not None
        ]
        self._listing: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Begin to list it, beside the run."""
        self._listing = asyncio.get_running_loop().run_in_executor(None, self.complete)

    def complete(self) -> None:
        """List it. Takes a while."""
        for before in (self._workspace, *self._common):
            before.complete()

    async def changes(self) -> Changes:
        """What has changed since."""
        if self._listing is None:
            self.begin()  # the box was not made
        if self._listing is not None:
            await self._listing
        return await asyncio.to_thread(self._changes)

    def _changes(self) -> Changes:
        elsewhere = [(before.root, changes_since(before)) for before in self._common]
        return together(changes_since(self._workspace), elsewhere)


@contextlib.asynccontextmanager
async def accounted(
    directory: RunDirectory,
    plan: Plan,
    made: Guarded,
) -> AsyncIterator[Accounting]:
    """Write down at the end what has changed; entered before the box is made. What was made for
    its guards is ignored, and what they could not cover noted."""
    accounting = Accounting(plan, made.stand_ins, made.held)
    try:
        yield accounting
    finally:
        try:
            changes = await accounting.changes()
            told = as_data(changes, [*made.notes(), *_unseen(plan, changes)])
            write_atomic(directory.changes, json.dumps(told).encode() + b"\n", mode=0o600)
        except OSError:  # the run has ended as it has; that this is missing is seen in the receipt
            log.get(__name__).exception("what has changed cannot be written down")


def _unseen(plan: Plan, changes: Changes) -> Iterator[str]:
    for path in changes.closed:
        if is_too_deep(plan.workspace / path):
            yield f"{path[:_SHOWN]}… is too deep to be looked into, so what is in there was not"
        else:
            shown = path or plan.workspace
            yield f"{shown} is closed, so what is in there was not looked at: chmod u+rwx opens it"


def as_data(changes: Changes, notes: Iterable[str]) -> dict[str, Any]:
    """The changes as a program reads them."""
    told = changes._asdict()
    told["executed"] = [one._asdict() for one in changes.executed]
    return {**told, "notes": list(notes)}
