"""Whether it is known what a run has changed in its workspace, and whether that must be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moat.run.record import LIVE, RunRecord


def why_unlooked(record: RunRecord, changes: Mapping[str, Any] | None) -> str | None:
    """Why nobody can say all that a run has changed, in words; None where they can, or it has
    changed nothing: a live run has no changes yet, and one that failed without any did not begin.
    """
    if changes is not None:
        everything = changes.get("complete", True)
        return None if everything else "not all of the workspace was looked at"
    if record.workspace is None or record.state in (*LIVE, "failed"):
        return None
    return "nobody has looked at what it changed in the workspace"


def must_be_told(record: RunRecord, changes: Mapping[str, Any] | None) -> bool:
    """Whether a person is told who did not ask for it: something would run on this machine, or
    nobody can say."""
    executed = changes is not None and bool(changes.get("executed"))
    return executed or why_unlooked(record, changes) is not None
