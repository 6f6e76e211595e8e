"""`moat trace`: the network requests of a run."""

from __future__ import annotations

import time
from typing import Any

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import say, show_json, show_table
from moat.cli.units import bytes_text
from moat.ledger.trace import read_trace
from moat.run.finding import find_run
from moat.run.record import RunDirectory


def main(arguments: list[str]) -> int:
    """Print the trace."""
    parser = Parser(
        "trace", "Show every network request of a run: what was asked, what was decided and why."
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="id or its beginning (the latest)")
    add_json(parser)
    args = parser.parse_args(arguments)
    runs = find_home().runs
    run = find_run(runs, args.run).run
    exchanges = read_trace(RunDirectory(runs, run).trace)
    if args.json:
        show_json(exchanges)
    elif not exchanges:
        say(f"run {run} made no requests")
    else:
        show_table(
            ("TIME", "REQUEST", "STATUS", "VERDICT", "GRANTS", "UP", "DOWN", "TOOK"),
            [_row(exchange) for exchange in exchanges],
        )
    return 0


def _row(exchange: dict[str, Any]) -> tuple[str, ...]:
    verdict = exchange["outcome"]
    if exchange["rule"]:
        verdict = f"{verdict}: {exchange['rule']}"
    if exchange["alarm"]:
        verdict = f"alarm: {exchange['alarm']}"
    elif exchange["error"]:
        verdict = f"{verdict}; {exchange['error']}"
    return (
        time.strftime("%H:%M:%S", time.localtime(exchange["started"])),
        f"{exchange['method']} {exchange['url']}",
        str(exchange["status"] or "-"),
        verdict,
        ",".join(exchange["grants"]) or "-",
        bytes_text(exchange["bytes_up"]),
        bytes_text(exchange["bytes_down"]),
        "-" if exchange["duration"] is None else f"{exchange['duration']:.2f}s",
    )
