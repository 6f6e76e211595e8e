"""Finding runs: all there are, those that live, and the one that a person means."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from moat.core.ids import is_run_id, is_run_id_prefix
from moat.errors import UsageError
from moat.run.record import LIVE, SIGN, RunDirectory, RunRecord

# Shown where an id is not enough, and letters of what each is called.
_CANDIDATES, _NAME = 8, 24


def live_signs(runs: Path) -> list[str]:
    """The ids of runs that live, or did until their supervisor died."""
    try:
        return sorted(n.removeprefix(SIGN) for n in os.listdir(runs) if n.startswith(SIGN))  # noqa: PTH208
    except FileNotFoundError:
        return []


def list_runs(runs: Path) -> list[RunRecord]:
    """Every run that has a readable record, the newest first."""
    try:
        names = [name for name in os.listdir(runs) if is_run_id(name)]  # noqa: PTH208  # names
    except FileNotFoundError:
        return []
    records = [record for name in names if (record := RunDirectory(runs, name).read())]
    return sorted(records, key=lambda record: record.created, reverse=True)


def find_run(runs: Path, given: str | None) -> RunRecord:
    """The run of an id, a name, or a unique beginning of an id; the latest without.

    A name means the newest run that has it, or the live one. Raises UsageError, also where
    several are meant.
    """
    records = list_runs(runs)
    if given is None:
        if not records:
            raise UsageError("there are no runs yet", hint="start one: moat run -- true")
        return records[0]
    if not is_run_id(given) and (named := _named(records, given)) is not None:
        return named
    matching = [r for r in records if is_run_id_prefix(given) and r.run.startswith(given)]
    if not matching:
        raise UsageError(f"there is no run {given!r}", hint="run: moat list")
    if len(matching) > 1:
        raise UsageError(
            f"{given!r} begins the ids of {len(matching)} runs: "
            + _some([f"{record.run} ({_called(record)})" for record in matching]),
            hint="type more of the id, as in: moat list",
        )
    return matching[0]


def _named(records: Sequence[RunRecord], given: str) -> RunRecord | None:
    """The run of a name: the live one, else the newest. Raises UsageError if several live."""
    named = [record for record in records if record.name == given]
    live = [record for record in named if record.state in LIVE]
    if len(live) > 1:
        raise UsageError(
            f"{len(live)} live runs are called {given!r}: {_some([r.run for r in live])}",
            hint="say which by its id, as in: moat list",
        )
    return next(iter(live or named), None)


def _called(record: RunRecord) -> str:
    """What a person may know a run by."""
    name = record.name or record.agent or shlex.join(record.command)
    return f"{name if len(name) <= _NAME else name[: _NAME - 1] + '…'}, {record.state}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _CANDIDATES
    return ", ".join(names[:_CANDIDATES]) + (f" and {more} more" if more > 0 else "")


def get_live_run(runs: Path, given: str | None, *, option: str = "") -> RunRecord:
    """The live run of an id, a name, or a unique beginning of an id; without, the only one.

    `option` is what stands before the name on the command line. Raises UsageError.
    """
    live = [record for record in list_runs(runs) if record.state in LIVE]
    if given is None:
        if not live:
            raise UsageError("no run is live", hint="run: moat list")
        if len(live) > 1:
            names = [f"{r.run} ({r.name})" if r.name else r.run for r in live]
            raise UsageError(
                f"{len(live)} runs are live: {_some(names)}",
                hint=f"say which: {option}{live[0].run}",
            )
        return live[0]
    # A name that was used before means the run that has it now.
    record = _named(live, given) or find_run(runs, given)
    if record.state not in LIVE:
        raise UsageError(
            f"run {record.run} has ended ({record.state})", hint="see which are live: moat list"
        )
    return record


def wanted_runs(runs: Path, given: Iterable[str], *, every: bool) -> list[RunRecord]:
    """The runs that are to be ended: those of the names, every live one, or the only one that is.

    A name means a live run if one has it; what is named may have ended. Raises UsageError.
    """
    if every:
        return [record for record in list_runs(runs) if record.state in LIVE]
    found = [find_run(runs, name) for name in given] or [get_live_run(runs, None)]
    return [*{record.run: record for record in found}.values()]
