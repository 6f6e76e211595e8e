"""What happened to a run, one line of JSON an event: its states, who came and went, what ended it.

Requests are in the trace, decisions about them in a file of their own; no secret is in any.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from moat.ledger.regular import moment, parse_json, read_regular

_MOST = 1 << 28  # bytes that are read


class Events:
    """Appends events to the file of a run."""

    def __init__(self, file: Path, run: str) -> None:
        self._file = file
        self._run = run

    def add(self, event: str, **facts: Any) -> None:
        """Write an event down, in one piece; what cannot be written is left out.

        Whether a run may go on does not hang on it: its record and its trace are what must be.
        """
        said = {"time": time.time(), "run": self._run, "event": event, **facts}
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            descriptor = os.open(self._file, flags, 0o600)
            try:
                os.write(descriptor, json.dumps(said).encode() + b"\n")
            finally:
                os.close(descriptor)


def read_events(file: Path) -> list[dict[str, Any]]:
    """The events of a run in their order, each with `time`, `run` and `event`.

    A line that was cut short, and one that is no event, is passed over.
    """
    try:
        lines = read_regular(file, most=_MOST).split(b"\n")
    except OSError:
        return []
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        said = parse_json(line)
        if not isinstance(said, dict):
            return None
        moment(said.get("time"))
    except (ValueError, TypeError):
        return None
    return said if all(isinstance(said.get(name), str) for name in ("run", "event")) else None
