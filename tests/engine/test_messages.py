"""Heads of requests and responses."""

from __future__ import annotations

import pytest

from engine.play import ask
from moat.engine.messages import Headers, end_to_end, get_all, tokens, without

HEADERS: Headers = (
    (b"Accept", b"a, B"),
    (b"X-Hop", b"1"),
    (b"accept", b",c ,"),
    (b"X-End", b"2"),
)


def test_headers_are_found_in_any_case() -> None:
    """Names are compared without case, values are left alone."""
    assert get_all(HEADERS, b"accept") == [b"a, B", b",c ,"]
    assert tokens(get_all(HEADERS, b"accept")) == [b"a", b"b", b"c"]
    assert without(HEADERS, [b"accept", b"x-hop"]) == ((b"X-End", b"2"),)


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"TE",
        b"Upgrade",
    ],
)
def test_what_concerns_one_connection_is_not_passed_on(name: bytes) -> None:
    """Hop-by-hop headers go, and nothing else does."""
    assert end_to_end((*HEADERS, (name, b"x"))) == HEADERS


def test_what_the_connection_header_lists_goes_with_it() -> None:
    """A header named in Connection is about one connection only."""
    listed = end_to_end((*HEADERS, (b"connection", b"close, x-HOP"), (b"Connection", b"other")))
    assert listed == (HEADERS[0], HEADERS[2], HEADERS[3])


def test_a_request_does_not_print_its_headers() -> None:
    """After injection they hold a secret."""
    request = ask(headers=((b"Authorization", b"sk-1"),))
    assert "sk-1" not in repr(request)
    assert request.url == "https://api.example/v1"
