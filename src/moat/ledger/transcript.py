"""The transcript: what a run printed, and when.

What was shown at a terminal is an asciicast of version 2, `transcript.cast`: a line of JSON for
the terminal, then one an event. What went to pipes is `transcript.log`, byte for byte, and
`transcript.times` says when: a line `TIME OFFSET`, at most one a second. Every line is written in
one piece, as it happens: a supervisor that is killed leaves at most its last one cut short.
"""

from __future__ import annotations

import codecs
import json
import os
import time
from pathlib import Path

from moat.errors import RecordError

CAST, LOG, TIMES = "transcript.cast", "transcript.log", "transcript.times"
_SECONDS = 1.0  # between two lines of times
# Bytes of a transcript: a program that prints without end fills no disk of the host's.
MOST = 1 << 30
_FULL = b"\r\n[moat: the transcript ends here: it is full]\r\n"


class Transcript:
    """Appends what the box prints to the files of a run's directory."""

    def __init__(
        self, root: Path, *, terminal: tuple[int, int] | None = None, title: str = ""
    ) -> None:
        """`terminal` is the rows and columns of the run's terminal; None where it has pipes.

        Raises RecordError.
        """
        self._writes: _Cast | _Log
        self._writes = _Log(root) if terminal is None else _Cast(root, terminal, title)
        self._full = False

    def write(self, data: bytes, kind: str = "o") -> None:
        """Append what was printed, as long as there is room. Raises RecordError."""
        if not self._full:
            self._full = self._writes.length + len(data) > MOST
            self._writes.write(_FULL if self._full else data, kind)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size from here on. Raises RecordError."""
        if not self._full:
            self._writes.resize(rows, columns)

    def close(self) -> None:
        """Close the files. Raises RecordError."""
        self._writes.close()


class _Cast:
    def __init__(self, root: Path, terminal: tuple[int, int], title: str) -> None:
        self._file = _Appended(root / CAST)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._began = time.monotonic()
        rows, columns = terminal
        header = {
            "version": 2,
            "width": columns,
            "height": rows,
            "timestamp": int(time.time()),
            "title": title,
            "env": {"TERM": os.environ.get("TERM", "")},
        }
        if not self._file.length:
            self._file.write(json.dumps(header).encode() + b"\n")

    @property
    def length(self) -> int:
        return self._file.length

    def write(self, data: bytes, kind: str) -> None:
        # A character may come in pieces; bytes that are none are shown as such.
        if text := self._decoder.decode(data):
            self._event(kind, text)

    def resize(self, rows: int, columns: int) -> None:
        self._event("r", f"{columns}x{rows}")

    def _event(self, kind: str, text: str) -> None:
        passed = round(time.monotonic() - self._began, 6)
        self._file.write(json.dumps([passed, kind, text], ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        try:
            if rest := self._decoder.decode(b"", final=True):
                self._event("o", rest)
        finally:
            self._file.close()


class _Log:
    def __init__(self, root: Path) -> None:
        self._file = _Appended(root / LOG)
        self._times = _Appended(root / TIMES)
        # A clock that does not jump, from the moment that the other one said.
        self._began = time.time() - time.monotonic()
        self._noted = -_SECONDS

    @property
    def length(self) -> int:
        return self._file.length

    def write(self, data: bytes, _kind: str) -> None:
        now = time.monotonic()
        if data and now - self._noted >= _SECONDS:
            self._noted = now
            self._times.write(b"%.3f %d\n" % (self._began + now, self._file.length))
        self._file.write(data)

    def resize(self, rows: int, columns: int) -> None:
        """Pipes have no size."""

    def close(self) -> None:
        self._file.close()
        self._times.close()


class _Appended:
    """A file of ours alone that is appended to; `length` is what it holds, in bytes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(file, flags, 0o600)
            self.length = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise self._refusal(error) from error

    def write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                written = os.write(self._descriptor, view)
                self.length += written
                view = view[written:]
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> RecordError:
        return RecordError(
            f"the transcript cannot be written: {self._file}: {error.strerror}",
            hint="is the disk full? df -h shows it",
        )

    def close(self) -> None:
        os.close(self._descriptor)
