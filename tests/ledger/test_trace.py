"""The trace says what was on the wire, with every secret masked."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.exchange import Entry, Measured
from moat.engine.policy import Rule, Verdict
from moat.ledger.trace import Trace, read_trace

SECRET = "sk-abc/def+ghi=12?&x"
RULE = Rule(HostPattern("api.openai.com"), "agent")
ALLOWED = Verdict("allow", "allowed by a rule", RULE)
DENIED = Verdict("deny", "no rule allows a.example")


def written(*entries: Entry, measured: Measured | None = None) -> list[dict[str, Any]]:
    """What is read of the trace of some entries, and the bytes of its file without the secret."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.db"
        trace = Trace(file)
        trace.hide([Secret("another-secret")])
        trace.hide([Secret(SECRET)])
        for number, entry in enumerate(entries):
            trace.record(number, entry, measured or Measured(1000.5))
        trace.close()
        content = file.read_bytes()
        for form in (SECRET, quote(SECRET, safe=""), "another-secret"):
            assert form.encode() not in content
        return read_trace(file)


def entry(url: str = "https://api.openai.com/v1/models", **changes: Any) -> Entry:
    return Entry("GET", url, ALLOWED, "forwarded", **changes)


def test_an_exchange_is_read_as_it_was_written() -> None:
    """Every member comes back: what was asked, decided, sent and measured."""
    measured = Measured(
        1000.5, protocol="h2", bytes_up=3, bytes_down=2**40, first_byte=0.25, duration=1.5
    )
    (read,) = written(entry(status=200, grants=("openai", "other")), measured=measured)
    assert {
        "number": 0,
        "started": 1000.5,
        "method": "GET",
        "url": "https://api.openai.com/v1/models",
        "host": "api.openai.com",
        "outcome": "forwarded",
        "rule": str(RULE),
        "grants": ["openai", "other"],
        "status": 200,
        "bytes_up": 3,
        "bytes_down": 2**40,
        "first_byte": 0.25,
        "duration": 1.5,
        "error": None,
        "alarm": None,
        "protocol": "h2",
    } == read


def test_a_refusal_names_the_rule_that_was_none() -> None:
    """What was denied by default says so; what was never judged has no rule."""
    denied = Entry("GET", "https://a.example/", DENIED, "refused", error=DENIED.reason)
    never = Entry("GET", "https://a.example/", None, "failed")
    assert ["deny by default", None] == [read["rule"] for read in written(denied, never)]


@pytest.mark.parametrize(
    "url",
    [
        f"https://a.example/{SECRET}/x",
        f"https://a.example/{quote(SECRET, safe='')}/x",
        f"https://a.example/?{quote(SECRET, safe='')}",
        f"https://a.example/?key={SECRET}",
        "https://user:another-secret@a.example/",
        "https://a.example/#another-secret",
    ],
)
def test_secrets_are_masked_in_urls(url: str) -> None:
    """By value, as it is and percent-encoded, wherever in the URL it stands."""
    (read,) = written(entry(url))
    assert "a.example" == read["host"]


def test_values_of_the_query_are_masked() -> None:
    """By name: a query's values may be anybody's secrets; its names tell what was asked."""
    (read,) = written(entry("https://a.example/s?q=cats&key=12345&flag"))
    assert "https://a.example/s?q=***&key=***&flag" == read["url"]


def test_secrets_are_masked_in_alarms() -> None:
    """As in errors."""
    (read,) = written(entry(alarm=f"seen: {SECRET}"))
    assert "seen: ***" == read["alarm"]


@pytest.mark.parametrize(("version", "lacks"), [(1, ("alarm", "protocol")), (2, ("protocol",))])
def test_a_trace_of_an_earlier_version_is_read(
    tmp_path: Path, version: int, lacks: tuple[str, ...]
) -> None:
    """What it did not know of is not there."""
    file = tmp_path / "trace.db"
    trace = Trace(file)
    trace.record(1, entry(alarm="seen"), Measured(1000.5, protocol="h2"))
    trace.close()
    with contextlib.closing(sqlite3.connect(file)) as database:
        for column in lacks:
            database.execute(f"ALTER TABLE exchange DROP COLUMN {column}")
        database.execute(f"PRAGMA user_version = {version}")
    (read,) = read_trace(file)
    assert (1, "https://api.openai.com/v1/models") == (read["number"], read["url"])
    assert [None for _ in lacks] == [read[column] for column in lacks]
    assert read["alarm"] == (None if "alarm" in lacks else "seen")


def test_secrets_are_masked_in_errors() -> None:
    """What an upstream said may repeat the key; control characters do not reach a terminal."""
    (read,) = written(entry(error=f"no such key: {SECRET}\x1b]0;x\x07"))
    assert "no such key: ***\\x1b]0;x\\x07" == read["error"]


def test_what_is_no_secret_stays() -> None:
    """Masking takes nothing else away."""
    (read,) = written(entry("https://a.example/sk-abc/def", error="sk-abc is no key"))
    assert ("https://a.example/sk-abc/def", "sk-abc is no key") == (read["url"], read["error"])


TARGETS = st.text(st.characters(codec="latin-1"), max_size=60)
HOSTS = st.sampled_from(["a.example", "a.example:8443", "[::1]", "[::1]:8443", "127.0.0.1:80"])


@settings(max_examples=60, deadline=None)
@given(HOSTS, TARGETS)
def test_whatever_is_asked_is_recorded(host: str, target: str) -> None:
    """No request target, however odd, keeps a request out of the trace or moves it elsewhere."""
    (read,) = written(entry(f"https://{host}/{target}", error=target))
    assert host == read["host"]
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in read["url"])
