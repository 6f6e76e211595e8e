"""Which credential goes into which request."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from engine.play import BEARER, KEY, ask
from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.inject import Injection
from moat.engine.messages import Headers, Request
from moat.engine.patterns import PathPattern

PLACEHOLDER = "moat-proxy-injected-x-00000000"


@pytest.mark.parametrize(
    ("expected", "url"),
    [
        (True, "https://api.example/"),
        (True, "https://API.example.:443/"),
        (False, "http://api.example/"),
        (False, "http://api.example:443/"),
        (False, "https://api.example:8443/"),
        (False, "https://a.api.example/"),
        (False, "https://api.example.evil.example/"),
        (False, "https://example/"),
    ],
)
def test_a_credential_goes_over_https_to_its_host_and_port_alone(expected: bool, url: str) -> None:
    """Scheme, exact host and port must all be those it is bound to."""
    assert expected == BEARER.applies_to(ask(url).destination)


@pytest.mark.parametrize(
    "brought",
    [
        ((b"Authorization", b"mine"),),
        ((b"authorization", b"mine"),),
        ((b"aUTHORIZATION", b"mine"), (b"Authorization", b"again")),
        ((b"X-Api-Key", b"mine"),),
        ((b"X_Api_Key", b"mine"),),
        ((b"x_api-key", b"mine"), (b"COOKIE", b"mine")),
    ],
)
def test_what_the_client_brought_is_replaced(brought: tuple[tuple[bytes, bytes], ...]) -> None:
    """However often, in whatever case, also with underscores: the run's credential or none."""
    injection = Injection(
        "openai", BEARER.pattern, "Authorization", "Bearer {}", strips=("X-Api-Key", "Cookie")
    )
    request = ask(headers=(*brought, (b"X-Other", b"kept")))
    stripped = injection.strip(request)
    assert ((b"X-Other", b"kept"),) == stripped.headers
    sent = injection.apply(stripped, KEY)
    assert ((b"X-Other", b"kept"), (b"Authorization", b"Bearer sk-1")) == sent.headers


def test_apply_alone_leaves_one_header_of_its_name() -> None:
    """The credential's own header is never there twice."""
    sent = BEARER.apply(ask(headers=((b"AUTHORIZATION", b"mine"),)), KEY)
    assert ((b"Authorization", b"Bearer sk-1"),) == sent.headers


def test_the_format_is_filled_once_and_not_read() -> None:
    """A secret with braces in it is a secret, not a format."""
    injection = Injection("a", HostPattern.parse("api.example"), "X-Key", "k={}")
    assert injection.apply(ask(), Secret("{0}{}")).headers == ((b"X-Key", b"k={0}{}"),)


# paths


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        (True, "/v1/models"),
        (True, "/v1"),
        (True, "/v1/a%20b?x=1"),
        (True, "/%761/models"),
        (False, None),
        (False, "/"),
        (False, "/v2"),
        (False, "/v10"),
        (False, "/V1/models"),
        (False, "/v1/../v2"),
        (False, "/v1/%2e%2e/v2"),
        (False, "/v1/..%2fv2"),
        (False, "/v1//models"),
        (False, "/v1;x/models"),
        (False, "/x?/v1/models"),
        (False, "*"),
    ],
)
def test_a_path_is_another_bound(expected: bool, target: str | None) -> None:
    """Without a path to look at, or with one that can be read in two ways, nothing is put in."""
    injection = replace(BEARER, path=PathPattern.parse("/v1/**"))
    destination = ask("https://api.example/").destination
    assert expected == injection.applies_to(destination, target)
    assert BEARER.applies_to(destination, target)
    assert not injection.applies_to(ask("http://api.example/").destination, "/v1/x")
    assert not injection.applies_to(ask("https://b.example/").destination, "/v1/x")


# kinds


def asking(headers: Headers = (), *, upgrade: str | None = None, body: int | None = 0) -> Request:
    plain = ask(headers=headers)
    return Request(plain.method, plain.destination, plain.target, headers, upgrade, body)


def looking(kind: Any, **more: Any) -> Injection:
    return Injection("mine", BEARER.pattern, kind=kind, placeholder=PLACEHOLDER, **more)


IN_HEADER = looking("in-header", header="Authorization", strips=("Cookie",))
IN_QUERY = looking("in-query", parameter="key", strips=("Authorization",))
IN_BODY = looking("in-body")
STRIPS = Injection("mine", BEARER.pattern, kind="strip-headers", strips=("Cookie", "X-Api-Key"))


def test_only_headers_are_stripped() -> None:
    """A grant may have nothing to put in."""
    request = ask(headers=((b"cookie", b"a"), (b"x_api_key", b"b"), (b"X-Other", b"c")))
    assert not STRIPS.wants(request)
    assert ((b"X-Other", b"c"),) == STRIPS.strip(request).headers
    assert request == STRIPS.apply(request, KEY)


@pytest.mark.parametrize(
    ("brought", "sent"),
    [
        (f"Bearer {PLACEHOLDER}", b"Bearer sk-1"),
        (
            "Basic " + base64.b64encode(f"me:{PLACEHOLDER}".encode()).decode(),
            b"Basic " + base64.b64encode(b"me:sk-1"),
        ),
    ],
)
@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION"])
@pytest.mark.parametrize("upgrade", [None, "websocket"])
def test_a_placeholder_in_a_header_is_replaced(
    brought: str, sent: bytes, name: bytes, upgrade: str | None
) -> None:
    """Also in an upgrade; the client's own values of that header, and other logins, go out."""
    headers = (
        (b"Authorization", b"Bearer attackers"),
        (name, brought.encode()),
        (b"X-Other", PLACEHOLDER.encode()),
        (b"Cookie", b"attackers"),
    )
    request = asking(headers, upgrade=upgrade)
    assert IN_HEADER.wants(request)
    stripped = IN_HEADER.strip(request)
    kept = ((name, brought.encode()), (b"X-Other", PLACEHOLDER.encode()))
    assert kept == stripped.headers
    assert IN_HEADER.wants(stripped)
    assert ((name, sent), kept[1]) == IN_HEADER.apply(stripped, KEY).headers


def test_without_the_placeholder_no_secret_is_wanted() -> None:
    """A client that brought none gets none, and neither does its own credential pass."""
    request = ask("https://api.example/v1?key=own", headers=((b"Authorization", b"own"),))
    for injection in (IN_HEADER, IN_QUERY):
        assert not injection.wants(request)
        stripped = injection.strip(request)
        assert () == stripped.headers
        assert stripped == injection.apply(stripped, KEY)
    assert "/v1" == IN_QUERY.strip(request).target
    assert BEARER.wants(request)


def test_a_placeholder_in_a_query_is_replaced() -> None:
    """In its parameter; a client's own value of it is taken out."""
    url = f"https://api.example/v1?a=1&key=own&key={PLACEHOLDER}&q={PLACEHOLDER}"
    request = ask(url, headers=((b"Authorization", b"own"),))
    assert IN_QUERY.wants(request)
    stripped = IN_QUERY.strip(request)
    assert f"/v1?a=1&key={PLACEHOLDER}&q={PLACEHOLDER}" == stripped.target
    assert () == stripped.headers
    sent = IN_QUERY.apply(stripped, Secret("a&b=c #"))
    assert f"/v1?a=1&key=a%26b%3Dc%20%23&q={PLACEHOLDER}" == sent.target


def test_a_placeholder_in_a_body_is_replaced() -> None:
    """In the manner of its type, as it streams by; its length is not known any more."""
    headers = ((b"Content-Type", b"application/json"),)
    request = asking(headers, body=10)
    assert IN_BODY.changes_body
    assert IN_BODY.wants(request)
    assert not IN_BODY.wants(asking(headers))
    assert IN_BODY.wants(asking(headers, body=None))
    assert asking(headers, body=None) == IN_BODY.apply(IN_BODY.strip(request), KEY)
    assert ask() == IN_BODY.apply(ask(), KEY)
    body = f'{{"key": "{PLACEHOLDER}"}}'.encode()
    for secret, written in (('a"b', b'{"key": "a\\"b"}'), ("sk-1", b'{"key": "sk-1"}')):
        transform = IN_BODY.body_transform(Secret(secret), request.headers)
        assert written == transform.feed(body[:20]) + transform.feed(body[20:]) + transform.finish()
    assert not any(item.changes_body for item in (BEARER, IN_HEADER, IN_QUERY, STRIPS))


@pytest.mark.parametrize("value", ["", "a\r\nX-Evil: 1", "a\n", "a\0", "ü"])
def test_an_unfit_secret_goes_into_no_header(value: str) -> None:
    """Nor is it shown; in a query it is encoded, and fits."""
    request = ask(
        f"https://api.example/?key={PLACEHOLDER}",
        headers=((b"Authorization", PLACEHOLDER.encode()),),
    )
    for injection in (BEARER, IN_HEADER):
        with pytest.raises(ValueError, match="cannot stand in a header") as caught:
            injection.apply(request, Secret(value))
        assert not value or value not in str(caught.value)
    assert IN_QUERY.apply(request, Secret(value)).target.isprintable()


@pytest.mark.parametrize(
    "lacking",
    [
        {},
        {"kind": "strip-headers"},
        {"kind": "in-header", "header": "X"},
        {"kind": "in-header", "placeholder": PLACEHOLDER},
        {"kind": "in-query", "placeholder": PLACEHOLDER},
        {"kind": "in-body"},
    ],
)
def test_an_injection_is_about_something(lacking: dict[str, Any]) -> None:
    """One without a header, a parameter or a placeholder would do something unmeant."""
    with pytest.raises(ValueError, match="lacks what it is about"):
        Injection("mine", BEARER.pattern, **lacking)


def test_what_it_does_can_be_told() -> None:
    """Where it is bound, and where the secret goes."""
    injection = replace(IN_QUERY, path=PathPattern.parse("/v1/**"))
    assert "https://api.example/v1/**" == injection.bound_to
    assert "https://api.example" == BEARER.bound_to
    assert ["Authorization", "Authorization", "?key=", "body", ""] == [
        item.place for item in (BEARER, IN_HEADER, IN_QUERY, IN_BODY, STRIPS)
    ]
