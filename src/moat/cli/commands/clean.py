"""`moat clean`: removes what is old, and what was left behind."""

from __future__ import annotations

import time
from pathlib import Path

from moat.cli.options import Parser, find_home
from moat.cli.output import say
from moat.cli.units import bytes_text, parse_duration
from moat.run.lost import clear_up, close_lost, sweep
from moat.run.record import LIVE, RunDirectory, RunRecord, list_runs

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
        close_lost(home)
        clear_up(home)
        sweep(runs)
    old = [record for record in list_runs(runs) if _is_old(record, age)]
    freed = 0
    for record in old:
        directory = RunDirectory(runs, record.run)
        freed += _size(directory.root)
        if not args.dry_run:
            directory.remove()
        print(record.run, flush=True)
    say(f"{'would remove' if args.dry_run else 'removed'} {len(old)} runs, {bytes_text(freed)}")
    return 0


def _is_old(record: RunRecord, age: float) -> bool:
    ended = record.ended if record.ended is not None else record.created
    return record.state not in LIVE and time.time() - ended >= age


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
