"""Sizes, durations and times."""

from __future__ import annotations

import pytest

from moat.cli.units import bytes_text, parse_duration, seconds_text
from moat.errors import UsageError


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 45, "32768.0 GiB"),
    ],
)
def test_a_size_is_told(count: int, text: str) -> None:
    """In the largest unit it fills."""
    assert text == bytes_text(count)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (1.26, "1.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (60, "1 min 0 s"),
        (61.7, "1 min 2 s"),
        (3599.6, "1 h 0 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_a_duration_is_told(seconds: float, text: str) -> None:
    """To a precision that tells something, and never as sixty of the smaller."""
    assert text == seconds_text(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("1.5m", 90), ("1h30m", 5400), (" 5s ", 5)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """As everywhere, and with space around it."""
    assert seconds == parse_duration(text, option="--x")


@pytest.mark.parametrize("text", ["", "-1", "1y", "1 h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With the option it was for, and how to write one."""
    with pytest.raises(UsageError, match=r'--x: ".*" is not a duration such as 90s') as caught:
        parse_duration(text, option="--x")
    assert "for example: --x 30m" == caught.value.hint
