"""What a rule covers, and how one is written."""

from __future__ import annotations

from typing import get_args

import pytest

from moat.core.hosts import Destination
from moat.engine.paths import canonical_path, folded, segments
from moat.engine.rules import PathRule, Rule, Source, host_rule, split_host_rule


def to(url: str) -> Destination:
    scheme, _, authority = url.partition("://")
    return Destination.parse(scheme, authority)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "pattern", "destination", "allowed"),
    [
        ("agent", "api.openai.com", "https://api.openai.com", True),
        ("agent", "api.openai.com", "http://api.openai.com:443", False),
        ("grant", "api.openai.com:80", "http://api.openai.com", False),
        ("agent", "api.openai.com:80", "http://api.openai.com", False),
        ("option", "api.openai.com", "http://api.openai.com:443", False),
        ("option", "plain.example.org:80", "http://plain.example.org", True),
        ("project", "plain.example.org:80", "http://plain.example.org", True),
        ("live", "plain.example.org:80", "http://plain.example.org", True),
        ("live", "plain.example.org", "http://plain.example.org", False),
        ("settings", "localhost:8080", "http://localhost:8080", True),
        ("settings", "localhost:8080", "https://localhost:8080", True),
    ],
)
def test_plain_http_goes_only_where_a_person_named_its_port(
    source: Source, pattern: str, destination: str, allowed: bool
) -> None:
    """An agent's rule, a grant's rule and port 443 mean https."""
    assert allowed is host_rule(pattern, source).covers(to(destination))


@pytest.mark.parametrize(
    ("pattern", "denied", "others"),
    [
        (
            "evil.example",
            ["https://evil.example", "https://evil.example:8443", "http://evil.example"],
            ["https://www.evil.example", "https://evil.examples"],
        ),
        (
            "*.evil.example",
            ["https://a.evil.example", "http://a.b.evil.example:1", "http://a.evil.example:443"],
            ["https://evil.example", "https://xevil.example"],
        ),
        ("a.b:443", ["https://a.b", "http://a.b:443"], ["https://a.b:8443", "http://a.b"]),
        ("[::1]", ["https://[::1]", "http://[::1]:8080"], ["https://[::2]"]),
        ("[::1]:80", ["http://[::1]", "https://[::1]:80"], ["https://[::1]"]),
    ],
)
def test_a_denial_without_a_port_is_for_every_port(
    pattern: str, denied: list[str], others: list[str]
) -> None:
    """And for plain http as well, whoever said it."""
    for source in get_args(Source):
        rule = host_rule(pattern, source, "deny")
        assert denied == [url for url in (*denied, *others) if rule.covers(to(url))]


def speaks(text: str, method: str, path: str) -> bool:
    parts = segments(canonical_path(path))
    return PathRule.parse(text).matches(method, parts, folded(parts))


@pytest.mark.parametrize(
    ("text", "method", "path", "it_does"),
    [
        ("allow GET /a", "GET", "/a", True),
        ("allow get /a", "GET", "/a", True),
        ("allow GET /a", "HEAD", "/a", True),
        ("allow HEAD /a", "GET", "/a", False),
        ("allow GET /a", "get", "/a", False),
        ("allow GET /a", "POST", "/a", False),
        ("allow GET /a", "GET", "/A", False),
        ("allow GET /a", "GET", "/a/", False),
        ("allow * /a", "PROPFIND", "/a", True),
        ("allow * /a", "get", "/a", True),
        ("deny GET /a", "GET", "/A/", True),
        ("deny GET /a", "get", "/a", True),
        ("deny GET /a", "HEAD", "/a", True),
        ("deny GET /a", "POST", "/a", False),
        ("deny * /a/**", "x", "/A", True),
        ("deny DELETE /caf%C3%A9", "delete", "/CAFE%CC%81", True),
    ],
)
def test_an_allowance_is_narrow_and_a_denial_wide(
    text: str, method: str, path: str, it_does: bool
) -> None:
    """What many servers take for one is denied together, and allowed only as it is written."""
    assert it_does is speaks(text, method, path)


@pytest.mark.parametrize(
    "text",
    [
        *("", "GET /a", "allow /a", "allow GET", "permit GET /a", "Allow GET /a", "allow GET a"),
        *("allow G=T /a", "allow ** /a", "allow GET,POST /a", "allow GET /a /b", "allow GET /a b"),
        *("allow GET /a**", "deny GET /a;b", "allow GET https://a.b/c", "allow -X /a"),
    ],
)
def test_a_line_that_says_nothing_is_refused(text: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=r"."):
        PathRule.parse(text)


def test_a_line_is_shown_as_it_is_read() -> None:
    """In one spelling, which reads the same again."""
    line = PathRule.parse("  allow   get  /a%2d%c3%a9/*  ")
    assert "allow GET /a-%C3%A9/*" == str(line)
    assert PathRule.parse(str(line)) == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.b", ("allow", "a.b")),
        (" allow  a.b:80 ", ("allow", "a.b:80")),
        ("deny @npm", ("deny", "@npm")),
        ("deny", ("allow", "deny")),
    ],
)
def test_a_host_may_be_denied_in_one_word_more(text: str, said: tuple[str, str]) -> None:
    """Without one it is allowed."""
    assert said == split_host_rule(text)


@pytest.mark.parametrize("text", ["", "a b", "DENY a", "deny a b", "allow GET /a"])
def test_other_words_are_refused(text: str) -> None:
    """They are no host."""
    with pytest.raises(ValueError, match="is not HOST"):
        split_host_rule(text)


def test_a_rule_says_what_and_whose_it_is() -> None:
    """As it is printed before a run, and in the trace after."""
    line = PathRule.parse("allow GET /a")
    rule = host_rule("*.a.b:8443", "project", paths=(line, PathRule.parse("deny * /**")))
    assert "*.a.b:8443: allow GET /a, deny * /** (moat.yaml)" == str(rule)
    assert "allow GET /a at *.a.b:8443 (moat.yaml)" == rule.said(line)
    assert "deny a.b (config.yaml)" == str(host_rule("a.b", "settings", "deny"))
    grouped = Rule(rule.pattern, "option", group="npm")
    assert "allow *.a.b:8443 (--allow-host, @npm)" == str(grouped)
