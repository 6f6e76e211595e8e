"""What was decided in a run, and by whom: a line of JSON each, and a line in the run's log."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from moat import log
from moat.errors import RecordError


class Decisions:
    """Writes decisions down."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, action: str, subject: str, extent: str, by: str, **more: Any) -> None:
        """Write one down. Raises RecordError when it cannot be."""
        decision = {
            "time": time.time(),
            "action": action,
            "subject": subject,
            "extent": extent,
            "by": by,
            **more,
        }
        line = json.dumps(decision).encode() + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._file, flags, 0o600)
            try:
                written = os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise RecordError(f"what was decided cannot be written down: {error}") from error
        if written != len(line):
            raise RecordError("what was decided cannot be written down: the disk is full")
        log.get(__name__).info("%s %s (%s), said by %s", action, subject, extent, by)
