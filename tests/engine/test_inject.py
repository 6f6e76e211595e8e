"""Which credential goes into which request."""

from __future__ import annotations

import pytest

from engine.play import BEARER, KEY, ask
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection


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
    from moat.core.secret import Secret

    injection = Injection("a", HostPattern.parse("api.example"), "X-Key", "k={}")
    assert injection.apply(ask(), Secret("{0}{}")).headers == ((b"X-Key", b"k={0}{}"),)
