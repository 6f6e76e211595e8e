"""`moat events`: what happened to runs, as it happens."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moat.cli.happened import line_of
from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import show_lines
from moat.cli.tail import add_tail_options, tail_of
from moat.core.ids import is_run_id
from moat.ledger.events import read_events
from moat.run.finding import find_run
from moat.run.record import LIVE, RunDirectory

# Seconds between two looks.
_LOOK = 0.2


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
    add_tail_options(parser, lines="the last N alone; with -f and 0, what is new")
    add_json(parser)
    args = parser.parse_args(arguments)
    lines, since = tail_of(args)
    runs = find_home().runs
    only = find_run(runs, args.run).run if args.run is not None else None
    follower = _Follower(runs, only)
    found = [*_since(follower.new(), since)]
    _show(found if lines is None else found[max(0, len(found) - lines) :], as_json=args.json)
    while args.follow:
        ended = only is not None and find_run(runs, only).state not in LIVE
        _show(_since(follower.new(), since), as_json=args.json)
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


def _since(events: Iterable[dict[str, Any]], moment: float | None) -> Iterator[dict[str, Any]]:
    return (event for event in events if moment is None or event["time"] >= moment)


def _show(events: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    show_lines(map(json.dumps if as_json else line_of, events), flush=True)
