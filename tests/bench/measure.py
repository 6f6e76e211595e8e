"""How things are measured here: interleaved rounds, medians, ratios within one run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import Slice
from tests.bench.report import Result, Row, Table


def environment(home: str) -> dict[str, str]:
    """A person's environment: byte code is cached, as it is everywhere but in some containers."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "TERM": "dumb", "MOAT_HOME": home}


def moat(*arguments: str) -> list[str]:
    """The argument list that starts `moat`, through its entry point."""
    return [str(Path(sys.executable).parent / "moat"), *arguments]


def seconds(command: Sequence[str], **options: object) -> float:
    """How long a command takes from start to end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return time.perf_counter() - began


def interleaved(rounds: int, **measured: Callable[[], float]) -> dict[str, float]:
    """The median of each, taken turn by turn so that a noisy minute hits all alike."""
    results: dict[str, list[float]] = {name: [] for name in measured}
    for one in measured.values():
        one()  # warm up
    for _ in range(rounds):
        for name, one in measured.items():
            results[name].append(one())
    return {name: statistics.median(values) for name, values in results.items()}


def compared(title: str, base: str, results: Mapping[str, float]) -> Result:
    """Seconds as a table of milliseconds, each with its ratio to the base."""
    rows: list[Row] = []
    for name, value in results.items():
        rows.append((name, [value * 1000, None if name == base else value / results[base]]))
    return Result([Table(title, ("ms", f"x {base}"), tuple(rows), digits=2)])


@dataclass(frozen=True)
class Pace:
    """How much is measured: so many rounds over all targets, so many seconds each time."""

    rounds: int
    seconds: float

    def interleaved(self, slices: Mapping[str, Callable[[float], Slice]]) -> dict[str, list[Slice]]:
        """Measure each turn by turn, so that a noisy minute hits all alike; by name, by round."""
        found: dict[str, list[Slice]] = {name: [] for name in slices}
        for one in slices.values():
            one(min(0.3, self.seconds))  # warm up
        for _ in range(self.rounds):
            for name, one in slices.items():
                found[name].append(one(self.seconds))
        return found
