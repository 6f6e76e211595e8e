"""Runs whose supervisor died: whoever comes next finishes their records, and clears up."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from moat.config.paths import Home
from moat.core.ids import is_run_id
from moat.run.finding import list_runs, live_signs
from moat.run.record import NEW, OLD, RunDirectory, RunRecord

# Seconds after which a directory that never became a run's is nobody's.
_ABANDONED = 60.0


def close_lost(home: Home) -> list[RunRecord]:
    """Finish every run that nobody supervises any more; those that were live until now."""
    runs, lost = home.runs, []
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
        entries = [*os.scandir(runs)]
    except FileNotFoundError:
        return
    for entry in entries:
        abandoned = entry.name.startswith(NEW) and _is_abandoned(Path(entry.path))
        if abandoned or entry.name.startswith(OLD):
            shutil.rmtree(entry.path, ignore_errors=True)


def _is_abandoned(directory: Path) -> bool:
    try:
        return time.time() - directory.stat().st_mtime > _ABANDONED
    except OSError:
        return False
