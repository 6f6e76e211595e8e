"""The transcript: what a run printed, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

from moat.errors import RecordError


class Transcript:
    """Appends what the box prints to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = os.open(
            file, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def write(self, data: bytes) -> None:
        """Append. Raises RecordError."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise RecordError(
                f"the transcript cannot be written: {self._file}: {error.strerror}",
                hint="is the disk full? df -h shows it",
            ) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
