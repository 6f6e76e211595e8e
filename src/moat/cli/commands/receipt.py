"""`moat receipt`: what came of a run."""

from __future__ import annotations

from moat.cli.options import Parser, add_json, add_run_argument, find_home
from moat.cli.output import show_json, show_lines
from moat.cli.receipt import as_data, lines_of
from moat.run.finding import find_run
from moat.run.receipt import receipt_of
from moat.run.record import RunDirectory


def main(arguments: list[str]) -> int:
    """Show it."""
    parser = Parser(
        "receipt",
        "Show what came of a run: how it ended, what it asked for and sent, what it changed in "
        "the workspace, and what of that would run something on this machine.",
    )
    add_run_argument(parser)
    add_json(parser)
    args = parser.parse_args(arguments)
    runs = find_home().runs
    record = find_run(runs, args.run)
    receipt = receipt_of(RunDirectory(runs, record.run), record)
    if args.json:
        show_json(as_data(receipt))
    else:
        show_lines(lines_of(receipt))
    return 0
