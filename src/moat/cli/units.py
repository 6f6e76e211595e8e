"""Sizes, durations and times, as a person reads and writes them."""

from __future__ import annotations

import re
import time

from moat.errors import UsageError

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)")


def bytes_text(count: int) -> str:
    """A size, in the largest unit that it fills."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def seconds_text(seconds: float) -> str:
    """A duration, to a precision that tells something."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def time_text(moment: float) -> str:
    """A moment, in this place's time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def parse_duration(text: str, *, option: str) -> float:
    """Seconds, from 90, 90s, 30m, 2h, 7d or 1w. Raises UsageError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{option}: {text!r} is no duration", hint="write a number and a unit: 90s, 30m, 2h, 7d"
        )
    return float(found[1]) * _SECONDS[found[2] or "s"]
