"""`moat events`: what happened to runs, as it happens."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import show_lines
from moat.core.ids import is_run_id
from moat.ledger.events import read_events
from moat.run.finding import find_run
from moat.run.record import LIVE, RunDirectory

# Seconds between two looks.
_LOOK = 0.2
_WITHOUT = frozenset({"time", "run", "event"})


def main(arguments: list[str]) -> int:
    """Print them."""
    parser = Parser(
        "events",
        "Show what happened to runs: their states, who attached and left, what ended them. With "
        "--json a line of JSON each.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="of this one alone (all)")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on; with RUN, until it has ended"
    )
    add_json(parser)
    args = parser.parse_args(arguments)
    runs = find_home().runs
    only = find_run(runs, args.run).run if args.run is not None else None
    follower = _Follower(runs, only)
    _show(follower.new(), as_json=args.json)
    while args.follow:
        ended = only is not None and find_run(runs, only).state not in LIVE
        _show(follower.new(), as_json=args.json)
        if ended:
            break
        time.sleep(_LOOK)
    return 0


class _Follower:
    """Reads what was written since it last looked."""

    def __init__(self, runs: Path, only: str | None) -> None:
        self._runs = runs
        self._only = only
        self._read: dict[str, int] = {}  # events, by run
        self._sizes: dict[str, int] = {}

    def new(self) -> list[dict[str, Any]]:
        """The events that have come, by their times; those of a run as they were written."""
        found: list[list[dict[str, Any]]] = []
        for run in [self._only] if self._only is not None else self._every():
            file = RunDirectory(self._runs, run).events
            try:
                size = file.stat().st_size
            except OSError:
                continue
            if size != self._sizes.get(run):
                self._sizes[run] = size
                events = read_events(file)
                found.append(events[self._read.get(run, 0) :])
                self._read[run] = len(events)
        # A clock may have been set back meanwhile: what came first stays first.
        return [*heapq.merge(*found, key=lambda event: float(event["time"]))]

    def _every(self) -> list[str]:
        try:
            return [entry.name for entry in self._runs.iterdir() if is_run_id(entry.name)]
        except FileNotFoundError:
            return []


def _show(events: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    show_lines(map(json.dumps if as_json else _line, events), flush=True)


def _line(event: dict[str, Any]) -> str:
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
    facts = " ".join(
        f"{name}={value}"
        for name, value in event.items()
        if name not in _WITHOUT and value is not None
    )
    return f"{clock}  {event['run']}  {event['event']}  {facts}".rstrip()
