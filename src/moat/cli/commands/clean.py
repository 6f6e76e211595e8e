"""`moat clean`: removes what is old, and what was left behind."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from moat.cli.options import Parser, find_home
from moat.cli.output import say
from moat.cli.units import bytes_text, parse_duration
from moat.run.finding import list_runs
from moat.run.lost import clear_up, close_lost
from moat.run.record import LIVE, RunDirectory, RunRecord

_OLDER_THAN = "7d"


def main(arguments: list[str]) -> int:
    """Remove it."""
    parser = Parser(
        "clean",
        "Remove runs that ended a while ago, with all that was recorded of them, and what runs "
        "that were killed have left behind. Live runs stay. Prints the id of each.",
    )
    parser.add_argument(
        "--older-than",
        metavar="TIME",
        default=_OLDER_THAN,
        help=f"how long ago they ended, such as 30m, 12h or 0 for all ({_OLDER_THAN})",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be removed")
    args = parser.parse_args(arguments)
    age = parse_duration(args.older_than, option="--older-than")
    home = find_home()
    runs = home.runs
    if not args.dry_run:
        for lost in close_lost(home):
            say(f"run {lost.run} is lost: its supervisor died; what it left has been cleared up")
        clear_up(home)
    count = freed = 0
    for record in list_runs(runs):
        if not _is_old(record, age):
            continue
        directory = RunDirectory(runs, record.run)
        size = _size(directory.root)
        if not args.dry_run:
            try:
                directory.remove()
            except FileNotFoundError:
                continue  # somebody else has, meanwhile
        count, freed = count + 1, freed + size
        print(record.run, flush=True)
    say(f"{'would remove' if args.dry_run else 'removed'} {count} runs, {bytes_text(freed)}")
    return 0


def _is_old(record: RunRecord, age: float) -> bool:
    ended = record.ended if record.ended is not None else record.created
    # However the clock was set meanwhile: 0 is for all.
    return record.state not in LIVE and (age == 0 or time.time() - ended >= age)


def _size(directory: Path) -> int:
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # somebody else removes it, too
                size += Path(folder, name).lstat().st_size
    return size
