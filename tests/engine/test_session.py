"""A run as the proxy sees it."""

from __future__ import annotations

import itertools

from engine.play import ask, session
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection


def bound(grant: str, pattern: str, header: str = "Authorization") -> Injection:
    return Injection(grant, HostPattern.parse(pattern), header)


def test_the_most_specific_injection_of_a_header_wins() -> None:
    """An exact host beats a suffix, a longer suffix a shorter one, in whatever order."""
    candidates = [
        bound("short", "*.example.com"),
        bound("long", "*.b.example.com", "AUTHORIZATION"),
        bound("exact", "a.b.example.com"),
    ]
    for order in itertools.permutations(candidates):
        injects = session(*order).injections_for
        assert [item.grant for item in injects(ask("https://a.b.example.com/").destination)] == [
            "exact"
        ]
        assert [item.grant for item in injects(ask("https://c.b.example.com/").destination)] == [
            "long"
        ]
        assert [item.grant for item in injects(ask("https://c.example.com/").destination)] == [
            "short"
        ]
        assert injects(ask("https://example.com/").destination) == ()


def test_between_equals_the_first_wins() -> None:
    """Two grants for one place and header: the order they were given in decides."""
    chosen = session(bound("a", "x.example"), bound("b", "x.example")).injections_for(
        ask("https://x.example/").destination
    )
    assert [item.grant for item in chosen] == ["a"]


def test_different_headers_do_not_compete() -> None:
    """Each header has its own winner."""
    chosen = session(
        bound("a", "*.example.com"), bound("b", "x.example.com", "X-Api-Key")
    ).injections_for(ask("https://x.example.com/").destination)
    assert {item.grant for item in chosen} == {"a", "b"}
