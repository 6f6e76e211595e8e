"""How much of what has happened is shown: the options -n and --since, and the times they take."""

from __future__ import annotations

import argparse
import re
import time
from datetime import datetime, timedelta
from typing import NamedTuple

from moat.cli.units import parse_duration
from moat.errors import UsageError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_FORMS = "for example: {0} 10m, {0} 14:30, {0} 2026-11-23T14:30"


class Tail(NamedTuple):
    """The last `lines` alone, and what is not older than `since`, in seconds since the epoch; None
    is no end."""

    lines: int | None
    since: float | None


def add_tail_options(parser: argparse.ArgumentParser, *, lines: str) -> None:
    """The options; `lines` is what is said of -n."""
    parser.add_argument("-n", "--lines", metavar="N", help=lines)
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="since so long ago (90s, 10m, 1h30m, 7d), a time of the last day (14:30), or a date "
        "and time (2026-11-23, 2026-11-23T14:30)",
    )


def tail_of(args: argparse.Namespace) -> Tail:
    """What was typed. Raises UsageError."""
    return Tail(
        None if args.lines is None else _count(args.lines),
        None if args.since is None else moment(args.since, option="--since"),
    )


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError(f"--lines: {text!r} is no number of lines", hint="for example: -n 20")
    return int(text)


def moment(text: str, *, option: str) -> float:
    """Seconds since the epoch, of a duration before now, the last time a clock here showed this, or
    a date. Raises UsageError."""
    text = text.strip()
    try:
        if _CLOCK.fullmatch(text):
            return _last(text if text[1] != ":" else f"0{text}")
        if _DATE.match(text):
            return datetime.fromisoformat(text).timestamp()
        return time.time() - parse_duration(text, option=option)
    except (UsageError, ValueError, OverflowError):
        raise UsageError(
            f"{option}: {text[:40]!r} is neither a duration nor a time",
            hint=_FORMS.format(option),
        ) from None


def _last(clock: str) -> float:
    now = datetime.now()  # as clocks here show it
    then = datetime.fromisoformat(f"{now:%Y-%m-%d}T{clock}")
    return (then if then <= now else then - timedelta(days=1)).timestamp()
