"""Sizes, durations and times, as a person reads and writes them."""

from __future__ import annotations

import time

from moat.core import durations
from moat.errors import UsageError

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


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
    """Seconds of a duration that was typed. Raises UsageError."""
    try:
        return durations.parse_duration(text.strip())
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint=f"for example: {option} 30m") from None
