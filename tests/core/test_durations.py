"""Durations as they are written."""

from __future__ import annotations

import pytest

from moat.core.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("1.5m", 90),
        ("2h", 7200),
        ("7d", 604_800),
        ("1w", 604_800),
        ("1h30m", 5400),
        ("1w2d3h4m5.5s", 788_645.5),
        ("1.5h0.5m", 5430),
        ("1m30", 90),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """A number and a unit, several that add up, or seconds."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "s", "m30", "-1", "1y", "1 h", "30 minutes", "30m1h", "1h1h", "inf", "nan", "1e3", "1.",
     ".5h", "1H", "٣", "9999999999", "1\n"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    """In words that say what one looks like."""
    with pytest.raises(ValueError, match=r"is not a duration such as 90s, 1h30m or 7d"):
        parse_duration(text)
