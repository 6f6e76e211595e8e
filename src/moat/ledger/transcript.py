"""The transcript: what a run printed, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

from moat.errors import RecordError


class Transcript:
    """Appends what the box prints to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(file, flags, 0o600)
        except OSError as error:
            raise self._refusal(error) from error

    def write(self, data: bytes) -> None:
        """Append. Raises RecordError."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> RecordError:
        return RecordError(
            f"the transcript cannot be written: {self._file}: {error.strerror}",
            hint="is the disk full? df -h shows it",
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
