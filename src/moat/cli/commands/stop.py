"""`moat stop`: asks live runs to end, and sees that they do."""

from __future__ import annotations

from moat.cli.options import Parser, add_runs_argument, find_home
from moat.cli.output import say, show_error
from moat.cli.units import parse_duration
from moat.errors import MoatError
from moat.run.ending import end_run
from moat.run.finding import wanted_runs
from moat.run.record import LIVE

_GRACE = 10.0


def main(arguments: list[str]) -> int:
    """Stop them."""
    parser = Parser(
        "stop",
        "Ask live runs to end: the command gets a SIGTERM, and what is left after a while is "
        "killed. Prints the id of each.",
    )
    add_runs_argument(parser)
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        default=f"{_GRACE:g}s",
        help=f"how long a command may take to end by itself ({_GRACE:g}s)",
    )
    args = parser.parse_args(arguments)
    grace = parse_duration(args.timeout, option="--timeout")
    return end_runs(args.run, every=args.all, grace=grace)


def end_runs(given: list[str], *, every: bool, grace: float) -> int:
    """End the runs that were named; the exit code: 1 if one of them did not end."""
    runs, code = find_home().runs, 0
    records = wanted_runs(runs, given, every=every)
    if not records:
        say("no run is live")
    for record in records:
        if record.state not in LIVE:
            say(f"run {record.run} has ended already ({record.state})")
            continue
        try:
            end_run(runs, record.run, grace=grace)
            print(record.run, flush=True)
        except MoatError as error:
            show_error(error)
            code = 1
    return code
