"""`moat logs`: what a run printed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from moat.cli.options import Parser, find_home
from moat.cli.tail import add_tail_options, tail_of
from moat.cli.tamed import Plain, Tamer
from moat.ledger.transcript_read import CastReading, LogReading, open_transcript
from moat.run.finding import find_run
from moat.run.record import LIVE, RunDirectory

_LOOK = 0.1  # seconds between two looks at what is new


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
    add_tail_options(parser, lines="the last N lines alone; with -f and 0, what is new")
    args = parser.parse_args(arguments)
    lines, since = tail_of(args)
    runs = find_home().runs
    directory = RunDirectory(runs, find_run(runs, args.run).run)
    try:
        _show(directory, lines=lines, since=since, follow=args.follow)
    except KeyboardInterrupt:
        if not args.follow:
            raise
    return 0


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
