"""One SQLite database a run, written by one thread that commits in batches."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moat.errors import RecordError

SCHEMA_VERSION = 3
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
    error       TEXT,
    alarm       TEXT,                 -- what no agent does by accident
    protocol    TEXT                  -- of the client: http/1.1 or h2
) STRICT;
PRAGMA user_version = {SCHEMA_VERSION};
"""
COLUMNS = (
    "number", "started", "method", "url", "host", "outcome", "rule", "grants", "status",
    "bytes_up", "bytes_down", "first_byte", "duration", "error", "alarm",
    "protocol",
)  # fmt: skip
# All rows in one statement: sqlite3 lets go of the interpreter's lock around each, and the event
# loop would have to win it back as often.
_INSERT = (
    f"INSERT OR REPLACE INTO exchange ({', '.join(COLUMNS)}) SELECT "  # noqa: S608  # our own names
    + ", ".join(f"json_extract(value, '$[{index}]')" for index in range(len(COLUMNS)))
    + " FROM json_each(?)"
)

Row = tuple[object, ...]

# Seconds in which rows gather to one commit: a commit costs more than the request it is of.
_GATHER = 0.03


class Writer:
    """The one writer of a run's database.

    `put` hands over what is to be written and returns at once; once a commit has failed it raises
    RecordError for ever, so that nothing goes on unrecorded. `row` makes a row of what was handed
    over, in the writer's thread and only for the last under each number.
    """

    def __init__(self, file: Path, row: Callable[[int, Any], Row]) -> None:
        self._file = file
        self._row = row
        self._rows: queue.SimpleQueue[tuple[int, Any] | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._closing = threading.Event()
        try:
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            self._database = _create(file)
        except (OSError, sqlite3.Error) as error:
            raise self._refusal(error) from error
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def put(self, number: int, said: Any) -> None:
        """Hand over what is to be written under a number. Raises RecordError."""
        if self._failure is not None:
            raise self._refusal(self._failure)
        if self._closing.is_set():
            raise RecordError(f"the record of the run is closed: {self._file}")
        self._rows.put((number, said))

    def close(self) -> None:
        """Write what is left and close. Raises RecordError if anything was not written."""
        self._closing.set()
        self._rows.put(None)
        self._thread.join()
        self._database.close()
        if self._failure is not None:
            raise self._refusal(self._failure)

    def _refusal(self, failure: Exception) -> RecordError:
        return RecordError(
            f"the record of the run cannot be written: {self._file}: {failure}",
            hint="is the disk full? df -h shows it",
        )

    def _write(self) -> None:
        ended = False
        while not ended:
            batch = [self._rows.get()]
            self._closing.wait(_GATHER)
            while not self._rows.empty():
                batch.append(self._rows.get_nowait())
            ended = None in batch
            last = dict(item for item in batch if item is not None)
            try:
                self._commit([self._row(number, said) for number, said in last.items()])
            # A row that cannot be written is as bad as a disk that is full.
            except Exception as error:
                self._failure = self._failure or error

    def _commit(self, rows: list[Row]) -> None:
        self._database.execute("BEGIN")
        try:
            self._database.execute(
                _INSERT, (json.dumps(rows, ensure_ascii=False, allow_nan=False),)
            )
            self._database.execute("COMMIT")
        except BaseException:
            # SQLite rolls back by itself where it must; what went wrong first is what is told.
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise


def _create(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database
