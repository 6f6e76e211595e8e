"""`moat rm`: removes runs that have ended, with all that was recorded of them."""

from __future__ import annotations

import contextlib

from moat.cli.options import Parser, find_home
from moat.errors import UsageError
from moat.run.ending import end_run
from moat.run.finding import find_run
from moat.run.lost import clear_up
from moat.run.record import LIVE, RunDirectory


def main(arguments: list[str]) -> int:
    """Remove them."""
    parser = Parser(
        "rm",
        "Remove runs: their records, traces and transcripts. What a run has done in its workspace "
        "stays. Prints the id of each.",
    )
    parser.add_argument("run", nargs="+", metavar="RUN", help="ids, their beginnings, or names")
    parser.add_argument("-f", "--force", action="store_true", help="kill a run that is live")
    args = parser.parse_args(arguments)
    home = find_home()
    runs = home.runs
    records = {record.run: record for record in (find_run(runs, given) for given in args.run)}
    live = [record.run for record in records.values() if record.state in LIVE]
    if live and not args.force:
        raise UsageError(
            f"run {live[0]} is live", hint=f"stop it first: moat stop {live[0]}, or add --force"
        )
    if any(record.state == "lost" for record in records.values()):
        clear_up(home)  # while it is known which they were
    for run in records:
        if run in live:
            end_run(runs, run, grace=0)
        directory = RunDirectory(runs, run)
        directory.close_lost()
        with contextlib.suppress(FileNotFoundError):  # somebody else has removed it meanwhile
            directory.remove()
        print(run, flush=True)
    return 0
