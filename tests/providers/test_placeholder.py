"""Each grant has a placeholder of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moat.engine.placeholder import MARK, Placeholder
from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER
from moat.providers.placeholder import placeholder_of

REFS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}(:[a-z0-9][a-z0-9_-]{0,20})?", fullmatch=True)


@given(REFS, REFS)
def test_none_is_part_of_anothers(one: str, other: str) -> None:
    """Or a placeholder in its own place would be taken for another's out of place."""
    for text in (placeholder_of(one), OPENAI_API_KEY_PLACEHOLDER):
        assert one == other or text not in placeholder_of(other)
    assert placeholder_of(one) not in OPENAI_API_KEY_PLACEHOLDER
    assert placeholder_of(one) == placeholder_of(one)


def test_names_that_begin_alike_are_told_apart() -> None:
    """The first letters of one are all of another."""
    assert placeholder_of("header:mine") not in placeholder_of("header:mine2")
    assert placeholder_of("header:a-b") != placeholder_of("header-a:b")


def test_they_are_found_soon() -> None:
    """Each has in it what is looked for first, and nothing that would have to be encoded."""
    for text in (placeholder_of("mcp:linear"), OPENAI_API_KEY_PLACEHOLDER):
        assert MARK in Placeholder("x", text).text
