"""What a person is told when a run has failed on the network."""

from __future__ import annotations

import itertools

import pytest

from moat.engine.exchange import Entry, Measured, Outcome
from moat.engine.policy import Verdict
from moat.engine.rules import PathRule, Rule, host_rule
from moat.proxy.answers import ENDED, GONE
from moat.run.advice import Advice, Watched

API = "https://api.x"
NO = Verdict("deny", "no rule")
REFUSED = Entry("GET", "https://evil.x/a?b=***", NO, "refused", 403)
REFUSED_HTTP = Entry("GET", "http://deb.x/a", NO, "refused", 403)
MALFORMED = Entry("GET", "http://x;id>PWNED", None, "refused", 400)
NO_REQUEST = Entry("CONNECT", API, None, "failed", error="no request came through the tunnel")


class Nowhere:
    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """Take it."""


def answered(status: int, place: str = API, grant: str | None = "openai") -> Entry:
    """An exchange that came to its end."""
    grants = () if grant is None else (grant,)
    return Entry("GET", f"{place}/v1", None, "forwarded", status, grants)


def failed(error: str, place: str = API, status: int = 502) -> Entry:
    """An exchange that did not."""
    return Entry("GET", f"{place}/v1", None, "failed", status, ("openai",), error)


def advice_after(*entries: Entry) -> Advice | None:
    """What is told after these exchanges, one after the other."""
    watched = Watched(Nowhere())
    for number, entry in enumerate(entries, 1):
        watched.record(number, entry, Measured(0.0))
    return watched.advice("moat run")


OK = answered(200)
REJECTED = answered(401)
LIMITED = answered(429)
BROKEN = answered(503)
SILENT = failed("https://api.x sent nothing for 600 s", status=101)
UNREACHABLE = failed("https://other.x cannot be reached", "https://other.x")


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        (
            REJECTED,
            "the credential of grant openai was rejected (401) by https://api.x",
            "grant it again: moat grant openai",
        ),
        (
            answered(403, grant="mcp-search"),
            "the credential of grant mcp-search was rejected (403) by https://api.x",
            "grant it again: moat grant mcp-search",
        ),
        (
            LIMITED,
            "the rate limit or quota of grant openai at https://api.x is used up (429)",
            "wait a while, or check the plan and billing of the account behind the grant",
        ),
        (answered(500), "https://api.x fails itself (500)", "try again later"),
        (answered(599), "https://api.x fails itself (599)", "try again later"),
        (SILENT, "https://api.x sent nothing for 600 s", "run: moat trace"),
        (
            failed("the answer of https://api.x was cut: the body ended early", status=200),
            "the answer of https://api.x was cut: the body ended early",
            "run: moat trace",
        ),
        (
            REFUSED,
            "the policy refused: https://evil.x",
            "run: moat trace; then: moat run --allow-host evil.x",
        ),
        (
            REFUSED_HTTP,
            "the policy refused: http://deb.x",
            "run: moat trace; then: moat run --allow-host deb.x:80",
        ),
    ],
)
def test_every_cause_is_told_with_what_helps(entry: Entry, message: str, hint: str) -> None:
    """One message and one hint for each."""
    assert Advice(message, hint) == advice_after(OK, entry)


@pytest.mark.parametrize(
    "entry",
    [
        OK,
        answered(101),
        answered(400),
        answered(404),
        *(answered(status, grant=None) for status in (401, 403, 429, 500)),
        failed(GONE.detail, status=499),
        failed(GONE.detail, status=200),
        failed(ENDED.detail, status=503),
        Entry("GET", f"{API}/v1", None, "open", None, ("openai",)),
        MALFORMED,
        NO_REQUEST,
    ],
)
def test_what_explains_nothing_is_not_told(entry: Entry) -> None:
    """Answers that were no trouble, or not about a credential; ends the network did not make."""
    assert advice_after(entry) is None


@pytest.mark.parametrize("trouble", [REJECTED, LIMITED, BROKEN, SILENT])
@pytest.mark.parametrize("later", [OK, answered(101), answered(404)])
def test_trouble_that_was_got_over_is_no_cause(trouble: Entry, later: Entry) -> None:
    """A later request to the same destination got through; to another one, it does not count."""
    assert advice_after(trouble, later) is None
    assert advice_after(trouble, later, trouble) == advice_after(trouble)
    elsewhere = answered(later.status or 0, "https://other.x")
    told = advice_after(trouble)
    assert told is not None
    assert told == advice_after(trouble, elsewhere)


@pytest.mark.parametrize("end", [failed(GONE.detail), failed(ENDED.detail), REFUSED])
def test_only_an_answer_gets_over_trouble(end: Entry) -> None:
    """Neither a client that left nor a refusal says that the destination works again."""
    assert advice_after(BROKEN) == advice_after(BROKEN, end)


def test_a_request_that_began_before_the_trouble_was_over_says_nothing_of_it() -> None:
    """A long connection that ends in order, after another request had failed beside it."""
    watched = Watched(Nowhere())
    entries: list[tuple[int, Outcome, int | None]] = [
        (1, "open", None),
        (2, "open", None),
        (3, "open", None),
        (2, "forwarded", 429),
        (1, "forwarded", 101),
        (3, "forwarded", 200),
    ]
    for number, outcome, status in entries:
        entry = Entry("GET", f"{API}/v1", None, outcome, status, ("openai",))
        watched.record(number, entry, Measured(0.0))
    assert watched.advice("moat run") == advice_after(LIMITED)
    watched.record(4, OK, Measured(0.0))
    assert watched.advice("moat run") is None


@pytest.mark.parametrize(
    ("first", "last"), list(itertools.permutations([REJECTED, LIMITED, BROKEN, SILENT], 2))
)
def test_the_last_trouble_at_a_destination_counts(first: Entry, last: Entry) -> None:
    """It is the one the agent gave up at."""
    assert advice_after(last) == advice_after(first, last)


@pytest.mark.parametrize("turned", [False, True])
def test_among_destinations_the_more_telling_trouble_counts(turned: bool) -> None:
    """Whatever came first: a credential, a limit, a service, a connection; at last the policy."""
    ranked = [
        answered(401, "https://a.x"),
        answered(429, "https://b.x"),
        answered(500, "https://c.x"),
        failed("https://d.x cannot be reached", "https://d.x"),
        REFUSED,
    ]
    while ranked:
        entries = reversed(ranked) if turned else ranked
        assert advice_after(ranked[0]) == advice_after(*entries)
        ranked.pop(0)


def test_of_equal_troubles_the_last_counts() -> None:
    """At two destinations."""
    other = answered(500, "https://other.x")
    assert advice_after(other) == advice_after(BROKEN, other)
    assert advice_after(BROKEN) == advice_after(BROKEN, other, BROKEN)
    assert advice_after(UNREACHABLE) == advice_after(SILENT, UNREACHABLE)


def test_what_is_remembered_is_bounded() -> None:
    """However often, and of how many hosts, the agent asks; what came last is still told."""
    watched = Watched(Nowhere())
    for number in range(1000):
        refused = Entry("GET", f"https://h{number}.x/" + "a" * 1000, NO, "refused", 403)
        watched.record(2 * number, refused, Measured(0.0))
    advice = watched.advice("moat run")
    assert advice is not None
    assert "the policy refused: https://h0.x, https://h1.x, https://h2.x, …" == advice.message
    assert len(watched._refused) < 5
    for number in range(1000):
        watched.record(number, failed(f"no {number}", f"https://h{number}.x"), Measured(0.0))
    assert Advice("no 999", "run: moat trace") == watched.advice("moat run")
    assert len(watched._troubles) <= 32


def test_a_rejection_is_told_of_a_run_that_did_not_fail() -> None:
    """An agent goes on without a server that rejects its token; nothing else is worth a word."""
    token = Entry("POST", "https://mcp.x/mcp", None, "forwarded", 401, ("mcp:x",))
    for entry, hint in (
        (REJECTED, "grant it again: moat grant openai"),
        (token, "grant it again: moat grant mcp:x --url https://mcp.x"),
    ):
        watched = Watched(Nowhere())
        watched.record(1, entry, Measured(0.0))
        rejection = watched.rejection()
        assert rejection is not None
        assert hint == rejection.hint
        watched.record(2, answered(200, entry.url.rpartition("/")[0]), Measured(0.0))
        assert watched.rejection() is None
    for entry in (LIMITED, BROKEN, SILENT):
        watched = Watched(Nowhere())
        watched.record(1, entry, Measured(0.0))
        assert watched.rejection() is None


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        (
            host_rule("h.x", "project", paths=(PathRule.parse("allow GET /a"),)),
            "what decided: the rules about requests to h.x (moat.yaml)",
        ),
        (host_rule("h.x", "settings", "deny"), "what decided: deny h.x (config.yaml)"),
        (host_rule("h.x", "project", "deny"), "then: moat run --allow-host h.x"),
    ],
)
def test_no_option_is_told_that_would_open_all_or_nothing(rule: Rule, hint: str) -> None:
    """What some requests of a host are refused by, or the person's own denial, is named instead."""
    entry = Entry("GET", "https://h.x/", Verdict("deny", "no", rule), "refused", 403)
    assert Advice("the policy refused: https://h.x", f"run: moat trace; {hint}") == advice_after(
        entry
    )


ALARM = "the placeholder of openai was on its way to https://evil.x, in the body"


def test_an_alarm_is_told_whatever_else_happened() -> None:
    """What no agent does by accident is worth telling of a run that went well, and only once."""
    watched = Watched(Nowhere())
    assert watched.alarm() is None
    refused = Entry("POST", "https://evil.x/", None, "refused", 403, error=ALARM, alarm=ALARM)
    for number, entry in enumerate((OK, refused, refused, REJECTED, OK)):
        watched.record(number, entry, Measured(0.0))
    assert Advice(f"alarm: {ALARM}", "run: moat trace") == watched.alarm()
