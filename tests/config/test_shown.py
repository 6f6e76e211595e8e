"""What a hostile file says is shown so that nobody is fooled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.shown import in_quotes, shown, value_shown
from moat.core.redact import printable


@pytest.mark.parametrize("text", ["npm", "~/a/b", "https://a.test:1/x", "*.a.test", "-y", "a=b"])
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    """What needs no quotes has none."""
    assert text == shown(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("é 中", '"é 中"'),
        ('say "hi"', r'"say \"hi\""'),
        ("\\x1b", r'"\\x1b"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("a\nb\r\t", r'"a\nb\r\t"'),
        ("\u202eevil", r'"\u202eevil"'),
        ("\x9b31m", r'"\x9b31m"'),
        ("a\u200bb\u00adc\ufeff", r'"a\u200bb\xadc\ufeff"'),
        ("\u3164\u2800\u115f\ufe0f", r'"\u3164\u2800\u115f\ufe0f"'),
        ("\U000e0041\udc80", r'"\U000e0041\udc80"'),
        ("a\u00a0b\u2003c", r'"a\xa0b\u2003c"'),
        ("ok   ; evil", r'"ok \x20\x20; evil"'),
        (" a ", r'"\x20a\x20"'),
    ],
)
def test_what_is_not_seen_as_itself_is_escaped(text: str, expected: str) -> None:
    """Controls, marks that reorder or hide, and spaces that push text out of sight."""
    assert expected == shown(text)


@given(st.text(), st.text())
def test_two_texts_never_look_the_same(one: str, other: str) -> None:
    """So a change is always seen; and a printer has nothing left to escape."""
    assert (one == other) == (shown(one) == shown(other))
    assert (one == other) == (in_quotes(one) == in_quotes(other))
    assert printable(shown(one), limit=10**6) == shown(one)
    assert shown(one).isprintable()


@pytest.mark.parametrize("text", ["\x1b", "\n", "\u202e", "  ", '"', "\\", " "])
def test_an_escape_and_what_it_stands_for_are_told_apart(text: str) -> None:
    """The escape itself can be written in a file as well."""
    assert shown(text) != shown(shown(text)[1:-1])


def test_values_of_any_sort_are_shown() -> None:
    """Text in quotes, so that it is told from numbers and booleans."""
    value = {"a": ["1", 1, 1.0, True, False, []], "b c": {}, "d": {"e": "\x1b"}}

    assert r'{a = ["1", 1, 1.0, true, false, []], "b c" = {}, d = {e = "\x1b"}}' == value_shown(
        value
    )
