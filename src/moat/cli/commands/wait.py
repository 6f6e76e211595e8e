"""`moat wait`: waits for a run to end."""

from __future__ import annotations

from moat.cli.options import Parser, add_run_argument, find_home
from moat.errors import MoatError
from moat.run.finding import find_run
from moat.run.record import RunDirectory


def main(arguments: list[str]) -> int:
    """Wait; the run's own exit code."""
    parser = Parser("wait", "Wait until a run has ended, and end with its exit code.")
    add_run_argument(parser)
    args = parser.parse_args(arguments)
    runs = find_home().runs
    run = find_run(runs, args.run).run
    RunDirectory(runs, run).wait_unsupervised()
    record = find_run(runs, run)
    if record.state == "lost":
        raise MoatError(
            f"run {run} is lost: its supervisor died, and the box with it",
            hint=f"what it printed: moat logs {run}",
        )
    return record.exit_code if record.exit_code is not None else 1
