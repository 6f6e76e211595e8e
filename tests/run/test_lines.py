"""A line about requests that is said in a live run changes those requests, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from moat.core.hosts import Destination, HostPattern
from moat.engine.messages import Request
from moat.engine.policy import Mode, Policy
from moat.engine.rules import PathRule, Rule, Source, host_rule
from moat.run.lines import rules_with_line, speaks_of


def request(method: str, url: str, headers: Any = ()) -> Request:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    place = Destination.parse(scheme, authority)  # type: ignore[arg-type]
    return Request(method, place, slash + path or "/", headers)


def rule(text: str, source: Source = "project") -> Rule:
    """`allow HOST`, `deny HOST`, or `HOST: LINE, LINE`."""
    host, colon, lines = text.partition(": ")
    if colon:
        return host_rule(host, source, paths=tuple(map(PathRule.parse, lines.split(", "))))
    action, host = text.split()
    return host_rule(host, source, action)  # type: ignore[arg-type]


def after(rules: tuple[Rule, ...], mode: Mode, host: str, line: str) -> Policy | None:
    """The policy when a line was said; None where it would change nothing."""
    made = rules_with_line(rules, mode, HostPattern.parse(host), PathRule.parse(line))
    return Policy((*made, *rules), mode) if made else None


READS = "a.test: allow GET /r/**, deny * /r/secret"


@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
@pytest.mark.parametrize(
    ("rules", "line", "opened", "as_before"),
    [
        ((READS,), "allow POST /r/x", ["POST /r/x"], ["GET /r/x", "GET /r/secret", "POST /r/y"]),
        ((READS,), "allow GET /r/secret", ["GET /r/secret"], ["GET /r/x", "GET /else"]),
        (("deny a.test",), "allow GET /x", ["GET /x"], ["GET /y", "POST /x"]),
        (("deny a.test:443", "allow a.test"), "allow GET /x", ["GET /x"], ["GET /y"]),
    ],
)
def test_an_allowance_opens_what_it_says(
    mode: Mode, rules: tuple[str, ...], line: str, opened: list[str], as_before: list[str]
) -> None:
    """And leaves everything else of the host as it was, open or closed."""
    known = tuple(map(rule, rules))
    policy = after(known, mode, "a.test", line)
    assert policy is not None
    for text in opened:
        method, path = text.split()
        assert policy.decide(request(method, f"https://a.test{path}")).allowed
    for text in as_before:
        method, path = text.split()
        asked = request(method, f"https://a.test{path}")
        assert Policy(known, mode).decide(asked).action == policy.decide(asked).action


@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
@pytest.mark.parametrize(
    "rules", [(READS,), ("allow a.test",), ("allow *.test.org", "allow a.test")]
)
def test_a_denial_closes_what_it_says(mode: Mode, rules: tuple[str, ...]) -> None:
    """A host that was open stays so for all else."""
    known = tuple(map(rule, rules))
    policy = after(known, mode, "a.test", "deny * /r/x/**")
    assert policy is not None
    for path in ("/r/x", "/r/X/y/"):
        assert "deny" == policy.decide(request("GET", f"https://a.test{path}")).action
    for path in ("/r/y", "/r/secret", "/z"):
        asked = request("GET", f"https://a.test{path}")
        assert Policy(known, mode).decide(asked).action == policy.decide(asked).action


@pytest.mark.parametrize(
    ("mode", "rules", "host", "line"),
    [
        ("strict", (), "a.test", "deny GET /x"),
        ("ask", (), "a.test", "deny GET /x"),
        ("strict", ("deny a.test",), "a.test", "deny GET /x"),
        ("strict", ("allow a.test",), "a.test", "allow GET /x"),
        ("permissive", (), "a.test", "allow GET /x"),
        ("permissive", (), "localhost:8080", "deny GET /x"),
        ("permissive", (), "10.0.0.1", "deny GET /x"),
    ],
)
def test_what_would_change_nothing_makes_no_rule(
    mode: Mode, rules: tuple[str, ...], host: str, line: str
) -> None:
    """A rule about paths would close the rest, or open it."""
    assert after(tuple(map(rule, rules)), mode, host, line) is None


def test_where_no_rule_was() -> None:
    """An allowance opens that and no more; under a permissive policy a denial closes no more."""
    for mode in ("strict", "ask"):
        policy = after((), mode, "a.test", "allow GET /x")  # type: ignore[arg-type]
        assert policy is not None
        assert policy.decide(request("GET", "https://a.test/x")).allowed
        assert "deny" == policy.decide(request("GET", "https://a.test/y")).action
    policy = after((), "permissive", "a.test", "deny GET /x")
    assert policy is not None
    assert not policy.decide(request("GET", "https://a.test/x")).allowed
    assert policy.decide(request("GET", "https://a.test/y")).allowed
    inside = after((), "permissive", "localhost:8080", "allow GET /x")
    assert inside is not None
    assert not inside.decide(request("GET", "https://localhost:8080/y")).allowed


def test_below_a_domain_each_rule_gets_it() -> None:
    """What is said of one name below stays; for the others it is the line alone."""
    known = tuple(map(rule, ("deny x.a.test", "y.a.test: allow POST /p", "allow z.a.test")))
    policy = after(known, "strict", "*.a.test", "allow GET /g")
    assert policy is not None
    for name in "xyzw":
        assert policy.decide(request("GET", f"https://{name}.a.test/g")).allowed
        posts = policy.decide(request("POST", f"https://{name}.a.test/p"))
        assert posts.allowed == (name in "yz")
    assert not policy.decide(request("GET", "https://a.test/g")).allowed


def test_plain_http_is_not_opened_by_the_way() -> None:
    """Who needs a host over https, as a grant does, does not speak for the clear."""
    known = (rule("allow a.test:81", "grant"),)
    policy = after(known, "strict", "a.test:81", "deny GET /x")
    assert policy is not None
    assert not policy.decide(request("GET", "http://a.test:81/y")).allowed
    assert policy.decide(request("GET", "https://a.test:81/y")).allowed
    assert not policy.decide(request("GET", "https://a.test:81/x")).allowed


@pytest.mark.parametrize(
    ("line", "method", "url", "headers", "it_does"),
    [
        ("allow GET /x/**", "GET", "https://a.test/x/y?z", (), True),
        ("allow GET /x", "HEAD", "https://a.test/x", (), True),
        ("allow GET /x", "GET", "https://b.test/x", (), False),
        ("allow GET /x", "GET", "https://a.test/X", (), False),
        ("allow GET /x", "GET", "https://a.test//x", (), False),
        ("allow * /x", "GET", "https://a.test/x", ((b"X-HTTP-Method", b"PUT"),), False),
        ("deny GET /x", "get", "https://a.test/X/", (), True),
        ("deny GET /x", "GET", "https://a.test:99/x", (), True),
        ("deny GET /x", "GET", "https://a.test//x", (), False),
        ("deny GET /x", "POST", "https://a.test/x", (), False),
    ],
)
def test_whether_it_is_about_a_request(
    line: str, method: str, url: str, headers: Any, it_does: bool
) -> None:
    """An allowance is for exactly what it says, a denial for what a server may take for it."""
    said = PathRule.parse(line)
    hosts = (host_rule("a.test", "live", said.action),)
    assert it_does is speaks_of(hosts, said, request(method, url, headers))


@pytest.mark.attack
@pytest.mark.parametrize("host", ["a.x.test", "*.x.test"])
def test_a_denial_opens_no_port_that_was_closed(host: str) -> None:
    """Of a host with rules about paths at one port, the others are closed in any mode."""
    known = (rule("a.x.test:8443: allow GET /r/**, deny * /r/secret"),)
    asked = request("DELETE", "https://a.x.test/all")
    assert not Policy(known, "permissive").decide(asked).allowed
    policy = after(known, "permissive", host, "deny POST /x")
    assert policy is None or not policy.decide(asked).allowed


def test_a_denial_leaves_others_as_they_were() -> None:
    """Open where nothing is said of them."""
    policy = after(
        (rule("a.x.test:8443: allow GET /r/**"),), "permissive", "*.x.test", "deny POST /x"
    )
    assert policy is not None
    assert policy.decide(request("DELETE", "https://b.x.test/all")).allowed
    assert not policy.decide(request("POST", "https://b.x.test/x")).allowed
