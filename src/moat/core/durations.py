"""Durations as a person writes them, in options and in files."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)"

DURATION: Final = "".join(rf"(?:{_NUMBER}{unit}{'?' if unit == 's' else ''})?" for unit in _UNITS)
"""Numbers and their units, the largest first, and seconds where no unit stands; also nothing."""


def parse_duration(text: str) -> float:
    """Seconds of a duration such as "90s", "1h30m", "1.5d" or "1w"; a bare number is seconds.

    Raises ValueError.
    """
    found = re.fullmatch(DURATION, text)
    if not found or not any(found.groups()):
        raise ValueError(f'"{text[:40]}" is not a duration such as 90s, 1h30m or 7d')
    return sum(
        float(number) * seconds
        for number, seconds in zip(found.groups(), _UNITS.values(), strict=True)
        if number
    )
