"""A short soak of the proxy as it is; and that each check of a soak can fail."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.soak import places
from tests.soak.book import Book, Scanner, mark_in, pieces_of, spellings
from tests.soak.run import Soak

SEED = 1
FAULTS = {
    "task": "task",
    "descriptor": "descriptor",
    "connection": "forgotten",
    "hoard": "memory",
    "forget": "missing",
    "repeat": "twice",
    "open": "open",
    "tell": "written",
    "fault": "log",
    "deaf": "serves",
}
"""What can be planted in the proxy, and the check that must find it."""


def test_short_soak(tmp_path: Path) -> None:
    """Every scene at least once: nothing is left over, lost, told or broken."""
    told = Soak(tmp_path, seed=SEED, seconds=4.5, clients=12).run()
    assert not told.complaints, (SEED, told.complaints[:20])
    assert told.exchanges > 100


def test_faults_are_found(tmp_path: Path) -> None:
    """With all of them planted, each is found by its check; so is a server that tells the secret
    where nothing takes it out."""
    told = Soak(tmp_path, seed=SEED, seconds=1, clients=12, faults=tuple(FAULTS)).run()
    found = Counter([check for check, _ in told.complaints])
    assert {*FAULTS.values(), "secret"} <= found.keys(), found


def test_a_hang_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is told where."""
    monkeypatch.setattr(places, "PATIENCE", 3.0)
    told = Soak(tmp_path, seed=SEED, seconds=0, clients=1, faults=("hang",), least=1).run()
    assert ["hang"] == [check for check, _ in told.complaints if check != "client"]
    assert "in plant" in told.complaints[-1][1] or "in <lambda>" in told.complaints[-1][1]


def row(url: str, **said: Any) -> dict[str, object]:
    """A record."""
    usual = {"method": "GET", "outcome": "forwarded", "status": 200, "error": None}
    return {**usual, "url": url, **said}


@pytest.mark.parametrize(
    ("said", "checks"),
    [
        ([{}], []),
        ([], ["missing"]),
        ([{}, {}], ["twice"]),
        ([{"outcome": "open"}], ["open"]),
        ([{"outcome": "failed"}], ["record"]),
        ([{"status": 201}], ["record"]),
        ([{}, {"url": "https://x.example/s/8/small"}], ["record"]),
        ([{}, {"url": "x", "status": 407}], ["missing"]),
        ([{}, {"url": "x", "method": "CONNECT", "outcome": "failed"}], ["missing"]),
    ],
)
def test_records_are_compared(said: list[dict[str, Any]], checks: list[str]) -> None:
    """One record for what was asked, saying what became of it, and none for anything else."""
    book = Book()
    ask = book.ask("/s/7", "small")
    ask.told, ask.outcomes, ask.status = True, ("forwarded",), 200
    rows = [row(**{"url": "https://x.example/s/7/small", **one}) for one in said]
    assert checks == [check for check, _ in book.compare(rows)]


def test_what_may_have_been_lost_needs_no_record() -> None:
    """A client that went away may never have been heard."""
    book = Book()
    book.ask("/s/7", "small")
    assert not list(book.compare([]))
    assert not list(book.compare([row("https://x.example/s/7/small", outcome="failed")]))


def test_marks() -> None:
    """Each request is told by its URL."""
    assert mark_in("https://api.openai.com/s/12/small/0") == "/s/12"
    assert mark_in("soak12..example.com:443") == "soak12."
    assert mark_in(f"https://{places.PLAIN}:1234") == f"{places.PLAIN}:1234"
    assert mark_in("https://api.openai.com/v1") is None


@pytest.mark.parametrize("name", spellings(places.KEY))
def test_secrets_are_seen(name: str) -> None:
    """In each spelling, cut anywhere; and nothing else is taken for one."""
    text = spellings(places.KEY)[name]
    for data in (text, text[: len(text) * 2 // 3], text[len(text) // 3 :]):
        scanner = Scanner(pieces_of(places.KEY))
        found = [scanner.look(data[at : at + 5]) for at in range(0, len(data), 5)]
        assert any(found)
    assert Scanner(pieces_of(places.KEY)).look(b"*" * 100 + places.KEY[:7].encode()) is None
