"""The trace: every network request of a run, with the verdict on it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moat.core import redact
from moat.core.secret import Secret
from moat.engine.exchange import Entry, Measured
from moat.errors import RecordError
from moat.ledger.db import COLUMNS, SCHEMA_VERSION, Row, Writer

_Said = tuple[Any, ...]

# Columns that earlier versions of the database do not have.
_SINCE = {"alarm": 2, "protocol": 3}


class Trace:
    """Writes exchanges down, without the secrets it is told of."""

    def __init__(self, file: Path) -> None:
        self._writer = Writer(file, self._row)
        self._secrets: tuple[Secret, ...] = ()
        self._values = redact.Values()

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Mask these values wherever they would be written."""
        self._secrets = (*self._secrets, *secrets)
        self._values = redact.Values(secret.reveal() for secret in self._secrets)

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Write down an exchange, replacing what stands under its number. Raises RecordError."""
        # As it is now: the exchange goes on. What is made of it, is made beside the event loop.
        self._writer.put(
            number,
            (
                measured.started,
                entry.method,
                entry.url,
                entry.outcome,
                entry.verdict,
                entry.grants,
                entry.status,
                measured.bytes_up,
                measured.bytes_down,
                measured.first_byte,
                measured.duration,
                entry.error,
                entry.alarm,
                measured.protocol,
            ),
        )

    def _row(self, number: int, said: _Said) -> Row:
        """A row of the database: safe to be shown, and without a secret."""
        (started, method, url, outcome, verdict, grants, *measured, error, alarm, protocol) = said
        mask = self._values.mask
        url = redact.url(mask(url))
        return (
            number,
            started,
            redact.printable(method),
            url,
            _host(url),
            outcome,
            verdict.rule_name if verdict is not None else None,
            ",".join(grants),
            *measured,
            error and redact.printable(mask(error)),
            alarm and redact.printable(mask(alarm)),
            protocol,
        )

    def close(self) -> None:
        """Write what is left. Raises RecordError if anything was lost."""
        self._writer.close()


def _host(url: str) -> str:
    """The authority of a URL as it stands, which may be no good one: nothing is parsed."""
    _, mark, rest = url.partition("://")
    return re.split(r"[/?#]", rest, maxsplit=1)[0] if mark else ""


@contextlib.contextmanager
def open_trace(file: Path) -> Iterator[tuple[sqlite3.Connection, frozenset[str]]]:
    """The database of a trace, to be read, and the columns it has; none where there is nothing.

    Raises RecordError, and sqlite3.Error for what cannot be read.
    """
    if not file.exists():
        yield sqlite3.connect(":memory:"), frozenset()
        return
    if not file.is_file():  # a FIFO would keep us waiting
        raise RecordError(f"the trace {file} cannot be read: it is no regular file")
    database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise RecordError(f"the trace {file} was written by a newer Moat")
        # With version 0 its writer died before it came to write anything.
        has = (name for name in COLUMNS if version >= _SINCE.get(name, 1))
        yield database, frozenset(has)
    finally:
        database.close()


def trace_error(file: Path, error: sqlite3.Error) -> RecordError:
    """Why a trace cannot be read."""
    return RecordError(f"the trace {file} cannot be read: {error}")


def read_trace(file: Path) -> list[dict[str, Any]]:
    """The exchanges of a run in their order, as plain values. Raises RecordError."""
    try:
        with open_trace(file) as (database, has):
            if not has:
                return []
            columns = [name if name in has else "NULL" for name in COLUMNS]
            rows = database.execute(
                f"SELECT {', '.join(columns)} FROM exchange ORDER BY number"  # noqa: S608
            ).fetchall()
    except sqlite3.Error as error:
        raise trace_error(file, error) from error
    found = []
    for row in rows:
        exchange = dict(zip(COLUMNS, row, strict=True))
        exchange["grants"] = exchange["grants"].split(",") if exchange["grants"] else []
        found.append(exchange)
    return found
