"""The receipt of a run: what came of it, put together from what was written down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from moat.core.limits import OPTIONS
from moat.errors import MoatError
from moat.ledger.summary import Summary, summarize
from moat.run.record import LIVE, RunDirectory, RunRecord


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a run did. `duration` is in seconds, and None where nobody knows; `changes` are those
    of the workspace as `run.accounting` writes them down, None for a run that was not ended by
    its supervisor or has no workspace. `unread` says why the trace could not be read."""

    record: RunRecord
    duration: float | None
    summary: Summary = field(default_factory=Summary)
    changes: dict[str, Any] | None = None
    unread: str | None = None

    @property
    def how(self) -> str:
        """How it ended, in words."""
        record = self.record
        if record.state in LIVE:
            return record.state
        if record.state == "lost":
            return "lost: its supervisor died, and the box with it"
        if record.limit is not None:
            words: dict[str, str] = {name: word for word, name in OPTIONS.items()}
            return f"ended by its limit on {words.get(record.limit, record.limit)}: {record.error}"
        if record.state == "failed":
            return f"failed: {record.error}"
        if record.stopped_by is not None:
            asked = "killed" if record.stopped_by == "SIGKILL" else f"ended by {record.stopped_by}"
            return f"{asked}: exit code {record.exit_code}"
        return f"exit code {record.exit_code}"


def receipt_of(directory: RunDirectory, record: RunRecord) -> Receipt:
    """The receipt of a run, as far as it has come."""
    summary, unread = Summary(), None
    try:
        summary = summarize(directory.trace)
    except MoatError as error:
        unread = error.message
    return Receipt(record, _duration(record), summary, directory.read_changes(), unread)


def _duration(record: RunRecord) -> float | None:
    if record.duration is not None:
        return record.duration
    ended = time.time() if record.state in LIVE else record.ended
    return None if ended is None else max(0.0, ended - record.created)
