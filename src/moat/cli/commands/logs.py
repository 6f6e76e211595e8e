"""`moat logs`: what a run printed."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime

from moat.cli.options import Parser, find_home
from moat.cli.tamed import Plain, Tamer
from moat.cli.units import parse_duration
from moat.errors import UsageError
from moat.ledger.transcript_read import CastReading, LogReading, open_transcript
from moat.run.finding import find_run
from moat.run.record import LIVE, RunDirectory

_LOOK = 0.1  # seconds between two looks at what is new
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def main(arguments: list[str]) -> int:
    """Print the transcript."""
    parser = Parser(
        "logs",
        "Show what a run printed, both output and errors. At a terminal colours stay, and what "
        "would act on the terminal goes. Into a pipe or file goes every byte of a run that worked "
        "on pipes, and of one that had a terminal the text alone. What a program has drawn on a "
        "screen is better seen with: moat replay",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="id or its beginning (the latest)")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what is printed until the run ends"
    )
    parser.add_argument(
        "-n", "--lines", metavar="N", help="the last N lines alone; with -f and 0, what is new"
    )
    parser.add_argument(
        "--since", metavar="TIME", help="since so long ago (10m, 2h), or a time (2026-11-23T10:00)"
    )
    args = parser.parse_args(arguments)
    lines = _count(args.lines) if args.lines is not None else None
    since = moment(args.since, option="--since") if args.since is not None else None
    runs = find_home().runs
    directory = RunDirectory(runs, find_run(runs, args.run).run)
    try:
        _show(directory, lines=lines, since=since, follow=args.follow)
    except KeyboardInterrupt:
        if not args.follow:
            raise
    return 0


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError(f"--lines: {text!r} is no number of lines", hint="such as: -n 20")
    return int(text)


def moment(text: str, *, option: str) -> float:
    """Seconds since the epoch, of a duration before now, or of a time. Raises UsageError."""
    if not _DATE.match(text):
        return time.time() - parse_duration(text, option=option)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise UsageError(
            f"{option}: {text!r} is no time",
            hint="such as: 2026-11-23T10:00, or 10m for ten minutes",
        ) from error


def _show(directory: RunDirectory, *, lines: int | None, since: float | None, follow: bool) -> None:
    reading: CastReading | LogReading | None = None
    fit: Callable[[bytes], bytes] = bytes
    while True:
        # Before reading: what was printed before the end is written by then.
        record = directory.read() if follow else None
        ended = record is None or record.state not in LIVE
        if reading is None and (reading := open_transcript(directory.root)) is not None:
            reading.start(lines=lines, since=since)
            fit = _fit(reading)
        while reading is not None and (data := reading.read()):
            sys.stdout.buffer.write(fit(data))
            sys.stdout.buffer.flush()
        if ended:
            break
        lines = None  # what is begun from here on is new
        time.sleep(_LOOK)
    if reading is not None:
        reading.close()


def _fit(reading: CastReading | LogReading) -> Callable[[bytes], bytes]:
    if os.isatty(1):
        return Tamer().feed
    return Plain().feed if isinstance(reading, CastReading) else bytes
