"""Runs whose supervisor died: whoever comes next finishes their records, and clears up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from moat.config.paths import Home
from moat.core.ids import is_run_id
from moat.run.finding import list_runs, live_signs
from moat.run.record import NEW, OLD, RunDirectory, RunRecord


def close_lost(home: Home) -> list[RunRecord]:
    """Finish every run that nobody supervises any more; those that were live until now."""
    runs, lost = home.runs, []
    sweep(runs)
    for run in filter(is_run_id, live_signs(runs)):
        record = RunDirectory(runs, run).close_lost()
        if record is not None and record.state == "lost":
            lost.append(record)
    if lost:
        clear_up(home)
    return lost


def clear_up(home: Home) -> None:
    """Take away what runs that died have left outside of their directories."""
    from moat.runtimes.sandbox.cgroup import remove_leftovers
    from moat.runtimes.sandbox.leftovers import end_leftovers
    from moat.workspace.standins import remove_lost

    end_leftovers({record.run for record in list_runs(home.runs) if record.state == "lost"})
    remove_lost(home.workspaces)
    remove_leftovers(live_signs(home.runs))


def sweep(runs: Path) -> None:
    """Remove what is left of directories that were being made or removed when somebody died."""
    try:
        names = os.listdir(runs)  # noqa: PTH208  # names
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(OLD):
            shutil.rmtree(runs / name, ignore_errors=True)
        elif name.startswith(NEW) and is_run_id(name.removeprefix(NEW)):
            RunDirectory(runs, name.removeprefix(NEW)).discard_unmade()
