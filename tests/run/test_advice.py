"""What a person is told when a run has failed on the network."""

from __future__ import annotations

import pytest

from moat.engine.exchange import Entry, Measured
from moat.engine.policy import Verdict
from moat.run.advice import Watched


class Nowhere:
    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Take it."""


REJECTED = Entry("GET", "https://api.x/v1", None, "forwarded", 401, ("openai",))
FINE = Entry("GET", "https://api.x/v1", None, "forwarded", 200, ("openai",))
NOT_OURS = Entry("GET", "https://other.x/", None, "forwarded", 401)
FAILED = Entry("GET", "https://api.x/v1", None, "failed", 502, error="api.x cannot be reached")
NO = Verdict(allowed=False, reason="no rule")
REFUSED = Entry("GET", "https://evil.x/a?b=***", NO, "refused", 403)
REFUSED_HTTP = Entry("GET", "http://deb.x/a", NO, "refused", 403)
MALFORMED = Entry("GET", "http://x;id>PWNED", None, "refused", 400)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ((REJECTED, FAILED, REFUSED), "grant openai was rejected (401) by https://api.x"),
        ((FAILED, REFUSED), "api.x cannot be reached"),
        ((REFUSED,), "moat run --allow-host evil.x"),
        ((REFUSED_HTTP,), "moat run --allow-host deb.x:80"),
        ((FINE, NOT_OURS), None),
        ((MALFORMED,), None),
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


def test_what_is_remembered_is_bounded() -> None:
    """However often, and of how many hosts, the agent asks."""
    watched = Watched(Nowhere())
    for number in range(1000):
        entry = Entry("GET", f"https://h{number}.x/" + "a" * 1000, NO, "refused", 403)
        watched.record(number, entry, Measured(0.0))
    advice = watched.advice("moat run")
    assert advice is not None
    assert "the policy refused: https://h0.x, https://h1.x, https://h2.x, …" == advice.message
    assert len(watched._refused) < 5
