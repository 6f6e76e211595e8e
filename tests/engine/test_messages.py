"""Heads of requests and responses."""

from __future__ import annotations

from engine.play import ask
from moat.engine.messages import Headers, get_all, tokens, without

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


def test_a_request_does_not_print_its_headers() -> None:
    """After injection they hold a secret."""
    request = ask(headers=((b"Authorization", b"sk-1"),))
    assert "sk-1" not in repr(request)
    assert request.url == "https://api.example/v1"
