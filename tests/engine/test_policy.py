"""Whether a request may go."""

from __future__ import annotations

import pytest

from engine.play import ask
from moat.core.hosts import Destination, HostPattern
from moat.engine.policy import Policy, Rule, Source

RULES = (
    Rule(HostPattern.parse("api.example.com"), "agent"),
    Rule(HostPattern.parse("*.example.org:8443"), "option"),
    Rule(HostPattern.parse("plain.example:80"), "settings"),
)


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        (0, "https://api.example.com/x"),
        (0, "https://API.example.com.:443/"),
        (1, "https://a.example.org:8443/"),
        (2, "http://plain.example/"),
    ],
)
def test_a_rule_allows_what_it_names(rule: int, url: str) -> None:
    """The verdict names the rule that decided."""
    verdict = Policy(RULES).decide(ask(url))
    assert verdict.allowed
    assert verdict.rule == RULES[rule]
    assert verdict.rule_name == str(RULES[rule])


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/",
        "https://api.example.com:80/",
        "http://api.example.com/",
        "https://example.org:8443/",
        "https://a.example.org/",
        "https://plain.example/",
        "https://127.0.0.1/",
    ],
)
def test_what_no_rule_names_is_denied(url: str) -> None:
    """Deny by default."""
    verdict = Policy(RULES).decide(ask(url))
    assert not verdict.allowed
    assert verdict.rule is None
    assert verdict.rule_name == "deny by default"


def test_no_rules_allow_nothing() -> None:
    """An empty policy denies."""
    assert not Policy().decide(ask()).allowed


def test_the_first_matching_rule_decides() -> None:
    """Order counts, so that what is printed is what holds."""
    twice = (RULES[0], Rule(RULES[0].pattern, "settings"))
    assert Policy(twice).decide(ask("https://api.example.com/")).rule == twice[0]


@pytest.mark.parametrize(
    ("nearest", "reason", "url"),
    [
        (0, "no rule allows apl.example.com", "https://apl.example.com/"),
        (0, "no rule allows api.example.com on port 8443", "https://api.example.com:8443/"),
        (None, "no rule allows zzz.test", "https://zzz.test/"),
    ],
)
def test_a_denial_says_what_came_closest(nearest: int | None, reason: str, url: str) -> None:
    """A mistyped host, or a wrong port, is easy to see."""
    verdict = Policy(RULES).decide(ask(url))
    assert reason == verdict.reason
    assert (None if nearest is None else RULES[nearest]) == verdict.nearest


@pytest.mark.parametrize(
    ("source", "pattern", "destination", "allowed"),
    [
        ("agent", "api.openai.com", "https://api.openai.com", True),
        ("agent", "api.openai.com", "http://api.openai.com:443", False),
        ("grant", "api.openai.com:80", "http://api.openai.com", False),
        ("option", "api.openai.com", "http://api.openai.com:443", False),
        ("option", "plain.example.org:80", "http://plain.example.org", True),
        ("settings", "localhost:8080", "http://localhost:8080", True),
        ("settings", "localhost:8080", "https://localhost:8080", True),
    ],
)
def test_plain_http_goes_only_where_a_person_named_its_port(
    source: Source, pattern: str, destination: str, allowed: bool
) -> None:
    """An agent's rule, a grant's rule and port 443 mean https."""
    scheme, _, authority = destination.partition("://")
    assert scheme in ("http", "https")
    rule = Rule(HostPattern.parse(pattern), source)
    assert allowed is rule.allows(Destination.parse(scheme, authority))  # type: ignore[arg-type]
