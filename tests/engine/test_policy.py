"""Whether a request may go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.play import ask
from moat.core.hosts import HostPattern
from moat.engine.policy import Mode, Policy, Rule
from moat.engine.rules import PathRule, host_rule

RULES = (
    Rule(HostPattern.parse("api.example.com"), "agent"),
    Rule(HostPattern.parse("*.example.org:8443"), "option"),
    Rule(HostPattern.parse("plain.example:80"), "settings"),
)
GITHUB = host_rule(
    "git.example",
    "project",
    paths=tuple(
        map(PathRule.parse, ("deny * /admin/**", "allow GET /repos/**", "allow POST /graphql"))
    ),
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
    assert "allow" == verdict.action
    assert verdict.rule == RULES[rule]
    assert verdict.rule_name == str(RULES[rule])


NOT_NAMED = [
    "https://other.example/",
    "https://api.example.com:80/",
    "http://api.example.com/",
    "https://example.org:8443/",
    "https://a.example.org/",
    "https://plain.example/",
    "https://127.0.0.1/",
]


@pytest.mark.parametrize("url", NOT_NAMED)
@pytest.mark.parametrize(
    ("mode", "action", "name"),
    [
        ("strict", "deny", "deny by default"),
        ("ask", "ask", "ask by default"),
        ("permissive", "allow", "allow by default (permissive)"),
    ],
)
def test_the_mode_decides_what_no_rule_is_about(
    mode: Mode, action: str, name: str, url: str
) -> None:
    """Denied, asked about, let through; never by a rule."""
    verdict = Policy(RULES, mode).decide(ask(url))
    assert (action, None, name) == (verdict.action, verdict.rule, verdict.rule_name)
    assert verdict.allowed is (mode == "permissive")


@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
def test_plain_http_to_port_443_is_never_spoken(mode: Mode) -> None:
    """Nobody can have meant it."""
    rules = (*RULES, Rule(HostPattern("other.example"), "option"))
    verdict = Policy(rules, mode).decide(ask("http://other.example:443/"))
    assert ("deny", "plain http is not spoken to port 443") == (verdict.action, verdict.reason)


def test_no_rules_allow_nothing() -> None:
    """An empty policy denies."""
    assert "deny" == Policy().decide(ask()).action


def test_the_first_matching_rule_decides() -> None:
    """Order counts, so that what is printed is what holds."""
    twice = (RULES[0], Rule(RULES[0].pattern, "settings"))
    assert Policy(twice).decide(ask("https://api.example.com/")).rule == twice[0]


@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
def test_a_denial_holds_in_every_mode(mode: Mode) -> None:
    """And what stands behind it does not count; what stands before it does."""
    denied = host_rule("*.example.com", "settings", "deny")
    verdict = Policy((denied, *RULES), mode).decide(ask("https://api.example.com/"))
    assert ("deny", denied, RULES[0]) == (verdict.action, verdict.rule, verdict.nearest)
    assert "deny *.example.com (config.yaml)" == verdict.rule_name
    assert Policy((*RULES, denied), mode).decide(ask("https://api.example.com/")).allowed
    assert not Policy((*RULES, denied), mode).decide(ask("http://b.example.com/")).allowed


def test_a_rule_put_in_comes_first() -> None:
    """What is said last counts; the policy it was put into is as it was."""
    policy = Policy((host_rule("a.example", "settings", "deny"), GITHUB), "ask")
    opened = policy.with_rule(host_rule("a.example", "live")).with_rule(
        host_rule("git.example", "live")
    )
    closed = opened.with_rule(host_rule("a.example", "live", "deny"))
    urls = ("https://a.example/", "https://git.example/admin", "https://b.example/")
    assert ["deny", "deny", "ask"] == [policy.decide(ask(url)).action for url in urls]
    assert ["allow", "allow", "ask"] == [opened.decide(ask(url)).action for url in urls]
    assert ["deny", "allow", "ask"] == [closed.decide(ask(url)).action for url in urls]
    assert "deny a.example (said during the run)" == closed.decide(ask(urls[0])).rule_name


@pytest.mark.parametrize(
    ("action", "line", "method", "path"),
    [
        ("allow", "allow GET /repos/** at git.example (moat.yaml)", "GET", "/repos/a/b?x=/admin"),
        ("allow", "allow GET /repos/** at git.example (moat.yaml)", "HEAD", "/repos"),
        ("allow", "allow POST /graphql at git.example (moat.yaml)", "POST", "/graphql"),
        ("deny", "deny * /admin/** at git.example (moat.yaml)", "GET", "/admin/x"),
        ("deny", str(GITHUB), "POST", "/repos/a"),
        ("deny", str(GITHUB), "GET", "/graphql"),
        ("deny", str(GITHUB), "GET", "/"),
        ("deny", str(GITHUB), "OPTIONS", "*"),
    ],
)
@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
def test_lines_about_paths_decide_in_their_order(
    mode: Mode, action: str, line: str, method: str, path: str
) -> None:
    """What none of them allows is denied in every mode: the host was spoken about."""
    request = ask("https://git.example/", method)._replace(target=path)
    verdict = Policy((GITHUB, *RULES), mode).decide(request)
    assert (action, line) == (verdict.action, verdict.rule_name)


def test_a_host_with_lines_about_paths_has_no_way_around_them() -> None:
    """No rule behind lets more through, and no other port where everything else is let through."""
    whole = host_rule("git.example", "option"), Rule(GITHUB.pattern, "grant")
    policy = Policy((GITHUB, *whole), "permissive")
    assert not policy.decide(ask("https://git.example/x")).allowed
    assert not policy.decide(ask("https://git.example:8443/x")).allowed
    assert not policy.decide(ask("http://git.example/x")).allowed
    assert policy.decide(ask("https://other.example/x")).allowed
    assert policy.decide(ask("https://other.test:8443/x")).allowed
    # A port that is named is one: in front of the rule about paths, or behind it.
    named = Policy((GITHUB, host_rule("git.example:8443", "project")), "permissive")
    assert named.decide(ask("https://git.example:8443/x")).allowed


@pytest.mark.parametrize(
    ("nearest", "reason", "url"),
    [
        (0, "no rule allows apl.example.com", "https://apl.example.com/"),
        (0, "no rule allows api.example.com on port 8443", "https://api.example.com:8443/"),
        (1, "no rule allows a.example.org on port 443", "https://a.example.org/"),
        (2, "no rule allows plain.example on port 443", "https://plain.example/"),
        (None, "no rule allows zzz.test", "https://zzz.test/"),
    ],
)
def test_a_denial_says_what_came_closest(nearest: int | None, reason: str, url: str) -> None:
    """A mistyped host, or a wrong port, is easy to see."""
    verdict = Policy(RULES).decide(ask(url))
    assert reason == verdict.reason
    assert (None if nearest is None else RULES[nearest]) == verdict.nearest


@pytest.mark.parametrize(
    ("nearest", "method", "path"),
    [
        ("allow GET /repos/**", "DELETE", "/repos/a"),
        ("allow GET /repos/**", "GET", "/repo/a"),
        ("allow POST /graphql", "GET", "/graphql"),
        ("allow POST /graphql", "POST", "/graphql/x"),
        ("allow POST /graphql", "POST", "/else"),
        ("allow GET /repos/**", "GET", "/admin"),
    ],
)
def test_a_denial_says_which_line_came_closest(nearest: str, method: str, path: str) -> None:
    """The same path with another method, a like path, the same method."""
    verdict = Policy((GITHUB,)).decide(ask(f"https://git.example{path}", method))
    assert f"git.example: {nearest} (moat.yaml)" == str(verdict.nearest)


def test_no_line_comes_close_where_none_allows() -> None:
    """Nothing is named then."""
    rule = host_rule("a.example", "project", paths=(PathRule.parse("deny GET /a"),))
    verdict = Policy((rule,)).decide(ask("https://a.example/a", "GET"))
    assert (None, "deny GET /a at a.example (moat.yaml)") == (verdict.nearest, verdict.rule_name)


def test_what_is_remembered_of_destinations_is_bounded() -> None:
    """A client may ask for any number of hosts."""
    policy = Policy(RULES)
    for number in range(5000):
        assert not policy.decide(ask(f"https://h{number}.test/")).allowed
    assert len(policy._known) <= 1024
    assert policy.decide(ask("https://api.example.com/")).allowed


def test_a_policy_is_what_it_says() -> None:
    """What it remembers is no part of it."""
    one, other = Policy(RULES, "ask"), Policy(RULES, "ask")
    one.decide(ask())
    assert (one, hash(one), repr(one)) == (other, hash(other), repr(other))
    assert one != replace(one, mode="strict")
    assert replace(one, mode="strict").decide(ask("https://zzz.test/")).action == "deny"
