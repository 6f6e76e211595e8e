"""Who asks for plain text gets it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engine.accept import prefers_text


@pytest.mark.parametrize(
    "accept",
    [
        *("text/plain", "TEXT/Plain", "text/*", "text/plain; charset=utf-8", "text/plain;q=0.1"),
        *("text/plain, */*;q=0.1", "application/json;q=0.5,text/plain", "*/*;q=0.9, text/*"),
        *("text/plain, application/json;q=0", "application/*;q=0.2, text/plain;q=0.3"),
        "application/problem+json;q=0.1, application/json, text/plain;q=0.5",
    ],
)
def test_text_is_for_those_who_ask_for_it(accept: str) -> None:
    """And who want it more than JSON."""
    assert prefers_text(accept)


@pytest.mark.parametrize(
    "accept",
    [
        *("", "*/*", "application/json", "application/*", "text/html", "text/plainer", "text/"),
        *(
            "text/plain;q=0",
            "text/plain, application/json",
            "text/plain;q=0.5, */*",
            "text/plain;q=x",
        ),
        *("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/plain;q=1.5.1"),
        *("text/plain;q=", "text/plain;q=-1", ",;,", "text/*;q=0.5, application/problem+json"),
    ],
)
def test_everybody_else_gets_json(accept: str) -> None:
    """Whoever takes anything, programs above all."""
    assert not prefers_text(accept)


@given(st.text() | st.text("text/plain,;q=01.* ", max_size=60))
def test_any_header_has_an_answer(accept: str) -> None:
    """It is the client's to write."""
    assert prefers_text(accept) in (True, False)
