"""What a person is told when a run has failed on the network."""

from __future__ import annotations

import pytest

from moat.engine.exchange import Entry, Measured
from moat.run.advice import Watched


class Nowhere:
    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Take it."""


REJECTED = Entry("GET", "https://api.x/v1", None, "forwarded", 401, ("openai",))
FINE = Entry("GET", "https://api.x/v1", None, "forwarded", 200, ("openai",))
NOT_OURS = Entry("GET", "https://other.x/", None, "forwarded", 401)
FAILED = Entry("GET", "https://api.x/v1", None, "failed", 502, error="api.x cannot be reached")
REFUSED = Entry("GET", "https://evil.x/a?b=***", None, "refused", 403)
REFUSED_HTTP = Entry("GET", "http://deb.x/a", None, "refused", 403)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ((REJECTED, FAILED, REFUSED), "grant openai was rejected (401) by https://api.x"),
        ((FAILED, REFUSED), "api.x cannot be reached"),
        ((REFUSED,), "moat run --allow-host evil.x"),
        ((REFUSED_HTTP,), "moat run --allow-host deb.x:80"),
        ((FINE, NOT_OURS), None),
        ((), None),
    ],
)
def test_the_likeliest_cause_is_told(entries: tuple[Entry, ...], told: str | None) -> None:
    """A rejected credential before a failed connection before a refusal; else nothing."""
    watched = Watched(Nowhere())
    for number, entry in enumerate(entries):
        watched.record(number, entry, Measured(0.0))
    advice = watched.advice("moat run")
    if told is None:
        assert advice is None
    else:
        assert advice is not None
        assert told in f"{advice.message} {advice.hint}"
