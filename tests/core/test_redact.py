"""What came from outside, made safe for trace, log and screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.core import redact


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("plain text, ünïcode 東京", "plain text, ünïcode 東京"),
        ("\\x1b[2J", "\x1b[2J"),
        ("\\x1b]52;c;x\\x07", "\x1b]52;c;x\x07"),
        ("a\\x0d\\x0ab", "a\r\nb"),
        ("\\x9b1m", "\x9b1m"),
        ("\\x7f", "\x7f"),
        ("\\u{202e}txt", "\u202etxt"),
        ("a\\u{200b}b", "a\u200bb"),
        ("\\u{2066}", "\u2066"),
        ("\\u{feff}", "\ufeff"),
        ("\\u{dcff}", "\udcff"),
        ("\\u{e0041}", "\U000e0041"),
    ],
)
def test_what_controls_a_screen_is_escaped(expected: str, text: str) -> None:
    """Control, reordering and invisible characters are shown, not obeyed."""
    assert expected == redact.printable(text)


@given(st.text(st.characters()))
def test_printable_text_can_be_written_anywhere(text: str) -> None:
    """What comes out is UTF-8, one line, and no longer than the limit."""
    shown = redact.printable(text, limit=50)
    shown.encode()
    assert len(shown) <= 50
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("https://a.example/p", "https://a.example/p"),
        ("https://a.example/p?q=***", "https://a.example/p?q=secret"),
        ("/p?a=***&b=***", "/p?a=1&b=2=3"),
        ("/p?flag&a=***", "/p?flag&a=?x"),
        ("/p#access_token=***", "/p#access_token=x"),
        ("/p?a=***#b=***", "/p?a=1#b=2"),
        ("https://a.example/", "https://user:pass@a.example/"),
        ("https://a.example/", "https://user:p@ss@a.example/"),
        ("HTTPS://a.example", "HTTPS://user@a.example"),
        ("https://a.example/@b", "https://a.example/@b"),
        ("https://a.example?x=***", "https://a.example?x=u@b"),
        ("/\\x1b?x=***", "/\x1b?x=\x1b"),
    ],
)
def test_a_url_loses_its_values(expected: str, text: str) -> None:
    """User information goes, and what follows an equals sign of query or fragment."""
    assert expected == redact.url(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("a *** b", "a k/y+1 b"),
        ("***", "k%2Fy%2B1"),
        ("***", "k%2fy%2b1"),
        ("******", "k/y+1k/y+1"),
        ("k/y", "k/y"),
    ],
)
def test_a_known_secret_is_masked_by_value(expected: str, text: str) -> None:
    """Plain or percent-encoded, wherever it stands."""
    assert expected == redact.values(text, ["k/y+1", ""])


@pytest.mark.parametrize("order", [["abc", "abcdef"], ["abcdef", "abc"]])
def test_a_secret_that_begins_another_leaves_no_rest(order: list[str]) -> None:
    """The longer one is masked first."""
    assert redact.values("x abcdef abc", order) == "x *** ***"
