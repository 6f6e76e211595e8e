"""One SQLite database a run, written by one thread that commits in batches."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from moat.errors import RecordError

SCHEMA_VERSION = 1
_SCHEMA = f"""
CREATE TABLE exchange (
    number      INTEGER PRIMARY KEY,  -- in the order the requests came
    started     REAL NOT NULL,        -- seconds since the epoch
    method      TEXT NOT NULL,
    url         TEXT NOT NULL,        -- redacted
    host        TEXT NOT NULL,
    outcome     TEXT NOT NULL,        -- open, forwarded, refused, failed
    rule        TEXT,                 -- that decided
    grants      TEXT NOT NULL,        -- on the wire, comma-separated
    status      INTEGER,
    bytes_up    INTEGER NOT NULL,
    bytes_down  INTEGER NOT NULL,
    first_byte  REAL,                 -- seconds
    duration    REAL,                 -- seconds
    error       TEXT
) STRICT;
PRAGMA user_version = {SCHEMA_VERSION};
"""
COLUMNS = (
    "number", "started", "method", "url", "host", "outcome", "rule", "grants", "status",
    "bytes_up", "bytes_down", "first_byte", "duration", "error",
)  # fmt: skip
_INSERT = (
    f"INSERT OR REPLACE INTO exchange ({', '.join(COLUMNS)}) "  # noqa: S608  # our own names
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)

Row = tuple[object, ...]


class Writer:
    """The one writer of a run's database.

    `put` hands a row over and returns at once; once a commit has failed it raises RecordError
    for ever, so that nothing goes on unrecorded.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        try:
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise RecordError(
                f"the record of the run cannot be written: {file}: {error}",
                hint="is the disk full? df -h shows it",
            ) from error
        self._database = database
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def put(self, row: Row) -> None:
        """Hand a row over to be written. Raises RecordError."""
        if self._failure is not None:
            raise RecordError(
                f"the record of the run cannot be written: {self._file}: {self._failure}",
                hint="is the disk full? df -h shows it",
            )
        self._rows.put(row)

    def close(self) -> None:
        """Write what is left and close. Raises RecordError if anything was not written."""
        self._rows.put(None)
        self._thread.join()
        self._database.close()
        if self._failure is not None:
            self.put(())

    def _write(self) -> None:
        ended = False
        while not ended:
            batch = [self._rows.get()]
            while not self._rows.empty():
                batch.append(self._rows.get_nowait())
            ended = None in batch
            rows = {row[0]: row for row in batch if row is not None}  # the last of each number
            try:
                self._commit(rows.values())
            except sqlite3.Error as error:
                self._failure = error

    def _commit(self, rows: Iterable[Row]) -> None:
        self._database.execute("BEGIN")
        try:
            self._database.executemany(_INSERT, rows)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
