"""`moat list`: the runs, the newest first."""

from __future__ import annotations

import shlex
import time

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import say, show_json, show_table
from moat.run.finding import list_runs
from moat.run.record import LIVE, RunRecord

_SHOWN = 20
_WIDTH = 48  # of a workspace, and of a command


def main(arguments: list[str]) -> int:
    """List them."""
    parser = Parser("list", "List runs, the newest first.")
    parser.add_argument(
        "-a",
        "--all",
        action="store_true",
        help=f"all, and not only the last {_SHOWN} and what is live",
    )
    add_json(parser)
    args = parser.parse_args(arguments)
    records = list_runs(find_home().runs)
    if not args.all:
        live = [record for record in records[_SHOWN:] if record.state in LIVE]
        records = records[:_SHOWN] + live
    if args.json:
        show_json([record._asdict() for record in records])
    elif not records:
        say("no runs yet")
    else:
        show_table(
            ("RUN", "NAME", "STATE", "EXIT", "STARTED", "WORKSPACE", "COMMAND"),
            [_row(record) for record in records],
        )
    return 0


def _row(record: RunRecord) -> tuple[str, ...]:
    command, workspace = shlex.join(record.command), record.workspace or "-"
    if len(command) > _WIDTH:
        command = command[: _WIDTH - 1] + "…"
    if len(workspace) > _WIDTH:
        workspace = "…" + workspace[1 - _WIDTH :]
    return (
        record.run,
        record.name or "-",
        record.state,
        "-" if record.exit_code is None else str(record.exit_code),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created)),
        workspace,
        command,
    )
