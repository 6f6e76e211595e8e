"""What a small request costs: on connections that stay, and on one of its own."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence

from tests.bench.load import Slice, Target, ask_on, connect_and_ask, connected
from tests.bench.measure import Pace
from tests.bench.report import Goal, Result, Table, ratio
from tests.bench.targets import DIRECT, MITMPROXY, MOAT, NGINX, Field

CLIENTS = (1, 16, 64)
_COLUMNS = ("CPU µs/request", "requests/s", "p50 µs", "p99 µs")


def small(field: Field, pace: Pace) -> Result:
    """Keep-alive requests of some clients at once."""
    result = Result()
    for count in CLIENTS:
        with contextlib.ExitStack() as stack:
            slices: dict[str, Callable[[float], Slice]] = {}
            for target in field.targets.values():
                clients = stack.enter_context(connected(target, count))
                slices[target.name] = _asking(target, clients)
            found = pace.interleaved(slices)
        title = f"Small requests, {count} client{'s' if count > 1 else ''}, keep-alive"
        result.tables.append(Table(title, _COLUMNS, tuple(_rows(found))))
        result.goals += _goals(found, f"CPU of a small request, {count} at once")
    return result


def connections(field: Field, pace: Pace) -> Result:
    """A new TLS connection for every request."""
    found = pace.interleaved({t.name: _connecting(t) for t in field.targets.values()})
    title = "A new TLS connection for every request, one after the other"
    return Result([Table(title, _COLUMNS, tuple(_rows(found)))])


def _asking(target: Target, clients: Sequence[object]) -> Callable[[float], Slice]:
    return lambda seconds: ask_on(target, clients, seconds)  # type: ignore[arg-type]


def _connecting(target: Target) -> Callable[[float], Slice]:
    return lambda seconds: connect_and_ask(target, seconds)


def _rows(found: Mapping[str, Sequence[Slice]]) -> list[tuple[str, list[float | None]]]:
    rows: list[tuple[str, list[float | None]]] = []
    for name, slices in found.items():
        cuts = [statistics.quantiles(one.delays, n=100) for one in slices]
        rows.append(
            (
                name,
                [
                    None if name == DIRECT else _cpu(slices) * 1e6,
                    statistics.median(one.units / one.seconds for one in slices),
                    statistics.median(cut[49] for cut in cuts) * 1e6,
                    statistics.median(cut[98] for cut in cuts) * 1e6,
                ],
            )
        )
    return rows


def _cpu(slices: Sequence[Slice]) -> float:
    return statistics.median(one.cpu / one.units for one in slices)


def _goals(found: Mapping[str, Sequence[Slice]], what: str) -> list[Goal]:
    cpu = {name: _cpu(slices) for name, slices in found.items()}
    ours = cpu.get(MOAT)
    return [
        Goal(f"{what}, to mitmproxy's", ratio(ours, cpu.get(MITMPROXY)), 1 / 20, "x"),
        Goal(f"{what}, to nginx's", ratio(ours, cpu.get(NGINX)), 2.5, "x"),
    ]
