"""What the requests of a run amount to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from moat.errors import RecordError
from moat.ledger.summary import Destination, Refusal, Summary, summarize
from moat.ledger.trace import SCHEMA_VERSION

COLUMNS = "host, method, url, outcome, rule, grants, bytes_up, bytes_down, alarm"


def trace(file: Path, *rows: tuple[object, ...]) -> Path:
    """A trace with the columns that are added up."""
    with sqlite3.connect(file) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute(f"CREATE TABLE exchange ({COLUMNS})")
        database.executemany(f"INSERT INTO exchange VALUES ({'?, ' * 8}?)", rows)
    database.close()
    return file


def test_nothing_amounts_to_nothing(tmp_path: Path) -> None:
    """No file is no error: the run has not come that far."""
    assert Summary() == summarize(tmp_path / "trace.db")


def test_requests_are_added_up(tmp_path: Path) -> None:
    """By host, by refusal, by credential; what is alarming once each."""
    file = trace(
        tmp_path / "trace.db",
        ("a", "GET", "https://a/", "allowed", None, "openai,github", 10, 100, None),
        ("a", "GET", "https://a/x", "allowed", None, "openai", 5, 50, "it tried"),
        ("b", "PUT", "https://b/", "refused", "default", "", 70, 7, "it tried"),
        ("b", "PUT", "https://b/", "refused", "default", "", 0, 7, None),
        ("c", "GET", "https://c/", "failed", None, "", 0, 0, None),
    )
    found = summarize(file)
    assert (
        Destination("b", 2, 2, 0, 70, 14),
        Destination("a", 2, 0, 0, 15, 150),
        Destination("c", 1, 0, 1, 0, 0),
    ) == found.destinations
    assert (Refusal("PUT https://b/", "default", 2),) == found.refusals
    assert {"github": 1, "openai": 2} == found.credentials
    assert ("it tried",) == found.alarms


def test_what_is_no_trace_is_an_error(tmp_path: Path) -> None:
    """Which says what it is about."""
    file = tmp_path / "trace.db"
    file.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(RecordError):
        summarize(file)
