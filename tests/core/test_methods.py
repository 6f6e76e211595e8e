"""A slip in a method is seen; a method of a server's own is left alone."""

from __future__ import annotations

import pytest

from moat.core.methods import METHODS, meant_method


@pytest.mark.parametrize(
    ("text", "meant"),
    [("GETT", "GET"), ("gte", None), ("pots", "POST"), ("DELET", "DELETE"), ("PATH", "PATCH")],
)
def test_a_slip_is_seen(text: str, meant: str | None) -> None:
    """In capitals or not."""
    assert meant == meant_method(text)


@pytest.mark.parametrize("text", [*sorted(METHODS), "*", "get", "FROBNICATE", "X"])
def test_what_is_a_method_is_no_slip(text: str) -> None:
    """Nor is what looks like none."""
    assert meant_method(text) is None
