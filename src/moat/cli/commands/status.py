"""`moat status`: how a run stands."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from typing import Any

from moat.cli.options import Parser, add_json, add_run_argument, find_home
from moat.cli.output import show_json, show_lines
from moat.cli.units import seconds_text, time_text
from moat.errors import MoatError
from moat.run.command_socket import tell
from moat.run.finding import find_run
from moat.run.receipt import Receipt, receipt_of
from moat.run.record import LIVE, RunDirectory

# Seconds that a run which does not answer is waited for: what is written down stands without it.
_PATIENCE = 2.0


def main(arguments: list[str]) -> int:
    """Show it."""
    parser = Parser("status", "Show how a run stands, who looks at it, and what it waits for.")
    add_run_argument(parser)
    add_json(parser)
    args = parser.parse_args(arguments)
    runs = find_home().runs
    record = find_run(runs, args.run)
    directory = RunDirectory(runs, record.run)
    live: dict[str, Any] = {}
    if record.state in LIVE:
        with contextlib.suppress(MoatError):  # it has ended meanwhile, or does not answer
            live = tell(directory.root, {"do": "status"}, patience=_PATIENCE)
            asked = tell(directory.root, {"do": "questions"}, patience=_PATIENCE)
            live["questions"] = len(asked["questions"])
    if args.json:
        supervisor = directory.supervisor()
        pid = supervisor.pid if supervisor else None
        show_json({**record._asdict(), "supervisor": pid, "live": live or None})
    else:
        show_lines(_lines(receipt_of(directory, record), live))
    return 0


def _lines(receipt: Receipt, live: dict[str, Any]) -> Iterator[str]:
    record = receipt.record
    rows = [
        ("run", record.run + (f" ({record.name})" if record.name else "")),
        ("state", record.state if record.state in LIVE else receipt.how),
        ("command", shlex.join(record.command)),
        ("workspace", record.workspace),
        ("started", time_text(record.created)),
        ("lasted", None if receipt.duration is None else seconds_text(receipt.duration)),
        ("grants", ", ".join(record.grants) or None),
        ("requests", str(sum(item.requests for item in receipt.summary.destinations))),
    ]
    if live:
        watchers = int(live.get("watchers", 0))
        who = "somebody is attached" if live.get("attached") else "nobody is attached"
        what = "terminal" if record.terminal else "pipes"
        rows.append((what, who + (f", {watchers} watching" if watchers else "")))
        if live.get("questions"):
            rows.append(("waits for", f"{live['questions']} answers; give them: moat approve"))
    yield from (f"{name:<10} {text}" for name, text in rows if text is not None)
