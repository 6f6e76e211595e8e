"""Tricks with paths, methods and hosts, against rules; each with a twin that is let through.

A server here is the worst of all servers: it reads a path in every way that some server does.
Policy must not let a request pass of which one of these readings is forbidden.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from unicodedata import normalize
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.core.hosts import Destination
from moat.engine.messages import Headers, Request
from moat.engine.paths import canonical_target
from moat.engine.policy import Mode, Policy
from moat.engine.rules import PathRule, host_rule

pytestmark = pytest.mark.attack

HOST = Destination("https", "git.example", 443)
CLOSED = ("deny * /admin/**", "deny * /x/secret", "allow * /**")
OPEN = ("allow GET /public/**",)


def policy(*lines: str, mode: Mode = "strict") -> Policy:
    paths = tuple(map(PathRule.parse, lines))
    return Policy((host_rule("git.example", "settings", paths=paths),), mode)


def sent(rules: Policy, target: str, method: str = "GET", headers: Headers = ()) -> str | None:
    """The target as it goes out; None where it does not, as the proxy has it."""
    try:
        canonical = canonical_target(target)
    except ValueError:
        return None
    request = Request(method, HOST, canonical, headers)
    return canonical if rules.decide(request).allowed else None


def readings(target: str) -> Iterator[str]:
    """The path of a target as servers read it: each of these steps is taken by some."""
    whole = target.partition("?")[0]
    for often, how, cut, first in itertools.product(
        range(4), ("utf-8", "latin-1", "overlong"), (False, True), (False, True)
    ):
        path = re.sub(r";[^/]*", "", whole) if cut and first else whole
        for _ in range(often):
            path = decoded(path, how)
        for text in (path, normalize("NFKC", path)):
            text = text.replace("\\", "/")
            if cut:
                text = re.sub(r";[^/]*", "", text)
            text = re.split("[?#\0]", text)[0]
            yield resolved(text.lower())


def decoded(path: str, how: str) -> str:
    if how == "overlong":
        path = re.sub("%c0%af", "/", re.sub("%c0%ae", ".", path, flags=re.I), flags=re.I)
        return unquote(path)
    return unquote(path, encoding=how)


def resolved(path: str) -> str:
    """Without empty and dot segments, as file systems and frameworks have it."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def reaches(target: str, forbidden: str) -> bool:
    return any(path == forbidden or path.startswith(forbidden + "/") for path in readings(target))


def naively(target: str, line: str) -> bool:
    """Whether a rule speaks of a target that takes it as it comes."""
    pattern = re.escape(line.split()[2]).replace(r"/\*\*", "(/.*)?").replace(r"\*", "[^/]*")
    return re.fullmatch(pattern, target.partition("?")[0]) is not None


TRICKS = [
    "/Admin/users", "/ADMIN", "/admin/", "/%61dmin", "/%61%64%6d%69%6e/users", "/%41DMIN",
    "//admin", "///admin/users", "/x/..//admin", "/./admin", "/x/../admin", "/x/%2e%2e/admin",
    "/x/.%2E/admin", "/%2e/admin", "/x/..;/admin", "/x/..;a=b/admin", "/;/admin", "/admin;x=y/u",
    "/;a/admin", "/admin%3bx", "/%2fadmin", "/%2Fadmin/users", "/x/..%2fadmin", "/x%2f..%2fadmin",
    "/\\admin", "/x\\..\\admin", "/%5cadmin", "/x/..%5Cadmin", "/x%5c..%5cadmin",
    "/admin%2fusers", "/admin%5cusers", "/%2561dmin", "/%25%36%31dmin", "/%252fadmin",
    "/x/%252e%252e/admin", "/x/..%252fadmin", "/%25252fadmin", "/admin%3Fx", "/admin%23x",
    "/admin%00", "/admin%00.png", "/x/%c0%ae%c0%ae/admin", "/x/..%c0%afadmin", "/%c0%afadmin",
    "/%EF%BC%8Fadmin", "/\uff41dmin", "/%EF%BD%81dmin", "/x/%EF%BC%8E%EF%BC%8E/admin",
    "/%EF%BC%BCadmin", "/admin#x", "/admin%253Fx", "/x/secret/", "/X/Secret", "/x/./secret",
    "/x/y/../secret", "/x//secret", "/x;y/secret", "/x/%73ecret", "/x/secret;", "/x%2Fsecret",
    "/x/secret%2F", "/admin?x", "/admin/%2e",
]  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
def test_no_spelling_evades_a_denial(target: str) -> None:
    """A server may read each of these as what is denied, so none goes out."""
    assert reaches(target, "/admin") or reaches(target, "/x/secret")
    for mode in ("strict", "ask", "permissive"):
        assert sent(policy(*CLOSED, mode=mode), target) is None  # type: ignore[arg-type]


def test_a_policy_that_takes_paths_as_they_come_would_be_evaded() -> None:
    """Why there is one spelling, and folding, and refusing: by most of the table."""
    evading = [
        target
        for target in TRICKS
        if not any(naively(target, line) for line in CLOSED if line.startswith("deny"))
    ]
    assert len(evading) > len(TRICKS) * 3 / 4


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/x", "/x/", "/administrator", "/x/admin", "/x/secrets", "/x/y/secret", "/adm%69"),
        *(
            "/x?next=/admin",
            "/x?u=../admin",
            "/x?a;b//c",
            "/%40admin/x",
            "/@admin",
            "/x%20y",
            "/~a",
        ),
        *("/caf%C3%A9", "/100%25", "/a+b", "/.git/x", "/...", "/x..y", "/-/admin", "/%C3%A4dmin"),
    ],
)
def test_what_is_close_to_a_trick_and_none_goes_out(target: str) -> None:
    """The twins."""
    assert canonical_target(target) == sent(policy(*CLOSED), target)
    assert not reaches(target, "/admin")


@pytest.mark.parametrize(
    "target",
    [
        *("/public/../admin", "/public/%2e%2e/admin", "/public/..;/admin", "/public/..%2fadmin"),
        *("/public/..%5cadmin", "/public/%252e%252e/admin", "/public\\..\\admin", "/public%2f../a"),
        *(
            "/public/./../a",
            "/public//../../a",
            "/public/%c0%ae%c0%ae/a",
            "/public;/../a",
            "/publicx",
        ),
        *(
            "/x;/public/a",
            "//public/a",
            "/PUBLIC/a",
            "/x/../public/a",
            "/%2fpublic",
            "/public%00/a",
        ),
        *(
            "/public/..%00/a",
            "/public/%EF%BC%8E%EF%BC%8E/a",
            "/public%23/../a",
            "/public/a/%2e./%2e./b",
        ),
        *("*", "/?/public/a", "/public%3F/a", "/Public"),
    ],
)
def test_no_spelling_leads_out_of_what_is_allowed(target: str) -> None:
    """Nor is anything allowed that merely looks like it."""
    assert sent(policy(*OPEN), target) is None


@pytest.mark.parametrize(
    "target",
    [
        "/public",
        "/public/",
        "/public/a/b?c",
        "/%70ublic/a",
        "/public/%41",
        "/public/a%20b",
        "/public/*",
    ],
)
def test_what_is_allowed_goes_out(target: str) -> None:
    """The twins, in one spelling."""
    assert canonical_target(target) == sent(policy(*OPEN), target)


@pytest.mark.parametrize("method", ["get", "Get", "HEAD", "head", "POST", "X"])
def test_no_method_evades_a_denial_of_all(method: str) -> None:
    """And one of GET is one of HEAD, in any case of letters."""
    assert sent(policy(*CLOSED), "/admin", method) is None
    reading = policy("deny GET /admin", "allow * /**")
    assert (sent(reading, "/admin", method) is None) is (method.upper() in ("GET", "HEAD"))


@pytest.mark.parametrize("method", ["get", "POST", "GETX", "OPTIONS"])
def test_no_other_method_is_allowed(method: str) -> None:
    """An allowance is for the method it names; servers may take `get` for anything."""
    assert sent(policy(*OPEN), "/public/a", method) is None
    assert sent(policy(*OPEN), "/public/a", "GET") is not None


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"X-HTTP-Method-Override",
            b"x-http-method",
            b"X-Method-Override",
            b"X_HTTP_Method_Override",
        ),
        *(b"X-Original-URL", b"X-Rewrite-URL", b"x-original_url"),
    ],
)
def test_no_header_makes_another_request_of_it(name: bytes) -> None:
    """Where rules look at method and path, what a server may read in their place is refused."""
    headers = ((b"Accept", b"*/*"), (name, b"DELETE"))
    for rules in (policy(*CLOSED), policy(*OPEN), policy("allow * /**", mode="permissive")):
        assert sent(rules, "/public/a", "GET", headers) is None
        assert sent(rules, "/public/a", "GET", headers[:1]) is not None
    whole = Policy((host_rule("git.example", "option"),))
    assert sent(whole, "/public/a", "GET", headers) is not None


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://git.example", True),
        ("https://git.example:8443", False),
        ("https://git.example:444", False),
        ("http://git.example", False),
        ("http://git.example:443", False),
        ("http://git.example:8080", False),
        ("https://other.example", True),
    ],
)
def test_no_port_leads_around_rules_about_paths(url: str, allowed: bool) -> None:
    """Not even where every other host is let through."""
    scheme, _, authority = url.partition("://")
    place = Destination.parse(scheme, authority)  # type: ignore[arg-type]
    rules = policy(*OPEN, mode="permissive")
    assert allowed is rules.decide(Request("GET", place, "/public/a", ())).allowed


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://evil.example",
            "https://EVIL.example.",
            "http://evil.example",
            "https://evil.example:1",
        ),
        *("http://evil.example:8080", "https://a.evil.test", "https://a.b.evil.test:8443"),
        *("http://a.evil.test", "https://xn--mnchen-3ya.evil.test"),
    ],
)
def test_no_spelling_of_a_denied_host_is_let_through(url: str) -> None:
    """On no port, over no scheme, in no mode."""
    scheme, _, authority = url.partition("://")
    place = Destination.parse(scheme, authority)  # type: ignore[arg-type]
    denied = tuple(host_rule(host, "settings", "deny") for host in ("evil.example", "*.evil.test"))
    for mode in ("strict", "ask", "permissive"):
        verdict = Policy(denied, mode).decide(Request("GET", place, "/", ()))  # type: ignore[arg-type]
        assert "deny" == verdict.action
    near = Destination("https", "evil.test", 443)
    assert Policy(denied, "permissive").decide(Request("GET", near, "/", ())).allowed


PIECES = st.sampled_from(
    [
        *("admin", "ADMIN", "%61dmin", "%41dmin", "public", "Public", "x", "secret", "a.b", ".git"),
        *("/", "//", "/./", "/../", "..", ".", "%2e", "%2E%2e", "%2f", "%2F", "\\", "%5c", "%5C"),
        *(
            ";",
            ";x=y",
            "%3b",
            "?",
            "%3f",
            "#",
            "%23",
            "%",
            "%25",
            "%252f",
            "%252e",
            "%2561dmin",
            "%00",
        ),
        *(
            "%c0%af",
            "%c0%ae",
            "%ef%bc%8f",
            "%ef%bc%8e",
            "%ef%bd%81dmin",
            "%e2%80%a5",
            "%C3%A9",
            "é",
        ),
        *("*", "@", "%40", "+", "%20", "~", "%7e", "2f", "5c", "0", "\x00", " "),
    ]
)
TARGETS = st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces))


@given(TARGETS)
@example("/x/..%2e/admin")
@example("/%25%32%66admin")
def test_whatever_goes_out_no_server_reads_as_what_is_denied(target: str) -> None:
    """Not even the worst of all servers."""
    out = sent(policy(*CLOSED), target)
    assert out is None or not (reaches(out, "/admin") or reaches(out, "/x/secret"))


@given(TARGETS)
@example("/public/%252e%252e/x")
def test_whatever_goes_out_every_server_reads_as_what_is_allowed(target: str) -> None:
    """It stays where it was allowed to go."""
    out = sent(policy(*OPEN), "/public" + target)
    if out is not None:
        assert all(re.match("/public(/|$)", path) for path in readings(out))


@given(TARGETS)
def test_what_goes_out_means_what_was_asked(target: str) -> None:
    """Nothing is let through by being made something else."""
    out = sent(Policy((host_rule("git.example", "option"),)), target)
    if out is not None:
        assert unquote_to_bytes(out.partition("?")[0]) == unquote_to_bytes(target.partition("?")[0])
