"""`moat kill`: ends live runs at once."""

from __future__ import annotations

from moat.cli.commands.stop import end_runs
from moat.cli.options import Parser, add_runs_argument


def main(arguments: list[str]) -> int:
    """Kill them."""
    parser = Parser("kill", "End live runs at once, without asking them. Prints the id of each.")
    add_runs_argument(parser)
    args = parser.parse_args(arguments)
    return end_runs(args.run, every=args.all, grace=0)
