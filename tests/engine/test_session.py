"""A run as the proxy sees it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from engine.play import ask, session
from moat.core.hosts import Destination, HostPattern
from moat.engine.inject import Injection
from moat.engine.patterns import PathPattern
from moat.engine.policy import Policy

PLACEHOLDER = "moat-proxy-injected-x-00000000"


def bound(
    grant: str, pattern: str, header: str = "Authorization", path: str = "", **more: Any
) -> Injection:
    parsed = PathPattern.parse(path) if path else None
    return Injection(grant, HostPattern.parse(pattern), header, path=parsed, **more)


def at(url: str) -> tuple[Destination, str]:
    request = ask(url)
    return request.destination, request.target


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


def test_a_longer_beginning_of_a_path_wins() -> None:
    """But only within one pattern of hosts; whatever the order."""
    candidates = [
        bound("host", "a.example.com"),
        bound("short", "a.example.com", path="/v1/**"),
        bound("long", "a.example.com", path="/v1/models/**"),
        bound("very long elsewhere", "*.example.com", path="/v1/models/of/everybody/**"),
    ]
    for order in itertools.permutations(candidates):
        chosen = session(*order).injections_for
        for url, grant in (
            ("https://a.example.com/", "host"),
            ("https://a.example.com/v1/files?x=/v1/models/", "short"),
            ("https://a.example.com/v1/models/of/everybody/x", "long"),
            ("https://a.example.com/v1/../v1/models", "host"),
            ("https://b.example.com/v1/models/of/everybody/x", "very long elsewhere"),
        ):
            assert [grant] == [item.grant for item in chosen(*at(url))]
        assert () == chosen(*at("https://b.example.com/"))
        assert () == chosen(*at("http://b.example.com/v1/models/of/everybody/x"))


def test_a_path_is_not_guessed() -> None:
    """Who does not say for which path is asked gets nothing that is for some."""
    with_path = session(bound("a", "x.example", path="/v1/**"))
    destination, target = at("https://x.example/v1/y")
    assert () == with_path.injections_for(destination)
    assert ["a"] == [item.grant for item in with_path.injections_for(destination, target)]
    assert () == with_path.injections_for(destination)


def test_what_anybody_strips_is_stripped() -> None:
    """Also what belongs to an injection that was beaten, or that puts nothing in."""
    chosen = session(
        bound("beaten", "*.x.example", strips=("Cookie", "X-Api-Key")),
        bound("winner", "a.x.example", strips=("x_api_key",)),
        Injection(
            "nothing", HostPattern("a.x.example"), kind="strip-headers", strips=("X-Session",)
        ),
        bound("another place", "b.x.example", strips=("X-Kept",)),
    ).injections_for(*at("https://a.x.example/"))
    assert ["winner"] == [item.grant for item in chosen]
    brought = ("Authorization", "Cookie", "X-Api-Key", "X-Session", "X-Kept")
    request = ask(headers=tuple((name.encode(), b"own") for name in brought))
    for item in chosen:
        request = item.strip(request)
    assert ((b"X-Kept", b"own"),) == request.headers


def test_stripping_can_be_all_there_is() -> None:
    """With nothing to put in, no secret is wanted."""
    strips = Injection("a", HostPattern("x.example"), kind="strip-headers", strips=("Cookie",))
    (chosen,) = session(strips).injections_for(*at("https://x.example/"))
    assert strips == chosen
    assert not chosen.wants(ask("https://x.example/"))


def test_a_header_that_holds_a_placeholder_is_not_stripped_by_others() -> None:
    """One grant's placeholder is in Cookie, which another grant would take out."""
    looks = Injection(
        "a", HostPattern("x.example"), "Cookie", kind="in-header", placeholder=PLACEHOLDER
    )
    sets = bound("b", "x.example", strips=("COOKIE", "X-Api-Key"))
    brought = ((b"Cookie", f"t={PLACEHOLDER}".encode()), (b"X-Api-Key", b"own"))
    for order in ((looks, sets), (sets, looks)):
        request = ask("https://x.example/", headers=brought)
        chosen = session(*order).injections_for(request.destination, request.target)
        for item in chosen:
            request = item.strip(request)
        assert brought[:1] == request.headers
        assert {"a", "b"} == {item.grant for item in chosen}


def test_a_header_has_one_credential() -> None:
    """Whether it is set or looked into, and however it is spelled."""
    first = bound("sets", "x.example", "X-Key")
    second = Injection(
        "looks", HostPattern("x.example"), "x_key", kind="in-header", placeholder=PLACEHOLDER
    )
    for order, winner in (((first, second), "sets"), ((second, first), "looks")):
        chosen = session(*order).injections_for(*at("https://x.example/"))
        assert [winner] == [item.grant for item in chosen]


def test_all_that_is_bound_is_known() -> None:
    """The beaten ones too: a placeholder of theirs is in its own place."""
    injections = (bound("a", "*.x.example"), bound("b", "a.x.example", path="/v1"))
    run = session(*injections)
    for url, grants in (
        ("https://a.x.example/v1", {"a", "b"}),
        ("https://a.x.example/", {"a"}),
        ("https://b.x.example/v1", {"a"}),
        ("https://x.example/v1", set()),
        ("http://a.x.example/v1", set()),
    ):
        assert grants == run.bound(*at(url)).grants


@pytest.mark.parametrize("target", ["/v1/x", None])
def test_what_was_found_out_is_not_found_out_again(target: str | None) -> None:
    """The same destination gives the same answer, and so does another after a great many."""
    run = session(bound("a", "*.x.example"), bound("b", "*.x.example", "X-B", path="/v1/**"))
    destination = Destination("https", "a.x.example", 443)
    first = run.injections_for(destination, target)
    assert first is run.injections_for(destination, target)
    for number in range(3000):
        run.injections_for(Destination("https", f"n{number}.x.example", 443), target)
    assert len(run._remembered) <= 1024  # a client may make up any number of names
    assert first == run.injections_for(destination, target)
    assert run == replace(run)
    assert replace(run, policy=Policy()).injections_for(destination, target) == first
    assert () == replace(run, injections=()).injections_for(destination, target)
