"""Starting a run from Python, joining one, and looking after those there are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from moat.api.live import GRACE, Run
from moat.api.plans import find_home
from moat.config.paths import Home
from moat.run.ending import end_run
from moat.run.finding import find_run, get_live_run, list_runs
from moat.run.grants import open_grants
from moat.run.joining import join
from moat.run.lost import close_lost
from moat.run.plan import Plan
from moat.run.receipt import Receipt, receipt_of
from moat.run.record import RunDirectory, RunRecord
from moat.run.sending import packed
from moat.run.spawned import spawn_supervisor
from moat.tools.catalogue import get_tool
from moat.tools.install import ensure_tool
from moat.tools.places import is_installed
from moat.vault.store import Store


@contextlib.asynccontextmanager
async def start(plan: Plan, *, home: Path | None = None) -> AsyncIterator[Run]:
    """Start a plan, and end it with the context unless it was detached. `home` is that of `plan`.

    What is missing of its tools is installed first. Its standard input is open until
    `Run.end_input`. Raises MoatError where the command cannot be started; what goes wrong later
    is in `Ended`.
    """
    place = find_home(home)
    await asyncio.to_thread(_make_ready, plan, place)
    async with Run(plan.run, place, await _spawned(), owns=True) as run:
        await run.begin(packed(plan, place))
        yield run


async def _spawned() -> socket.socket:
    """A supervisor's channel; one that comes when nobody wants it any more is closed."""
    spawning = asyncio.ensure_future(asyncio.to_thread(spawn_supervisor))
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            (await spawning).close()  # its plan never comes, so it ends
        raise


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
    when the context ends. Of a run without a terminal, or to `watch`, events alone come: what is
    said to it is not heard. Raises MoatError."""
    place = find_home(home)
    record, channel = await asyncio.to_thread(_joined, place, run, watch)
    async with Run(record.run, place, channel, owns=False) as taking_part:
        yield taking_part


def _joined(home: Home, given: str | None, watch: bool) -> tuple[RunRecord, socket.socket]:
    record = get_live_run(home.runs, given)
    directory = RunDirectory(home.runs, record.run).root
    with join(directory, {"do": "attach", "watch": watch}) as joined:
        return record, joined.channel.dup()


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


def stop(run: str, *, grace: float = GRACE, home: Path | None = None) -> RunRecord:
    """End a live run: asked first, and killed after some seconds. Blocks. Raises MoatError."""
    place = find_home(home)
    return end_run(place.runs, get_live_run(place.runs, run).run, grace=grace)


def kill(run: str, *, home: Path | None = None) -> RunRecord:
    """End a live run at once. Blocks. Raises MoatError."""
    return stop(run, grace=0, home=home)
