"""What an event of a stream costs, and how much later it comes."""

from __future__ import annotations

import contextlib
import re
import select
import statistics
import time
from collections.abc import Callable, Sequence

from tests.bench import traffic
from tests.bench.load import Client, Slice, Target, connected, measured
from tests.bench.measure import Pace
from tests.bench.report import Goal, Result, Row, Table
from tests.bench.targets import DIRECT, MOAT, Field

STREAMS = 200
_SENT = re.compile(rb'"sent":(\d+)\}$')
_FIRST = 10  # events of a stream whose delays are not counted: all are asked for at once
_LONGEST = 120.0  # seconds a stretch may take; who falls behind takes longer than the streams do


def events(field: Field, pace: Pace) -> Result:
    """STREAMS streams at once, of traffic.EVENTS_PER_SECOND events a second each."""
    with contextlib.ExitStack() as stack:
        slices: dict[str, Callable[[float], Slice]] = {}
        for target in field.targets.values():
            clients = stack.enter_context(connected(target, STREAMS))
            slices[target.name] = _streaming(target, clients)
        found = pace.interleaved(slices)
    base = _cuts(found[DIRECT])
    rows: list[Row] = []
    for name, taken in found.items():
        cost = statistics.median(one.cpu / one.units for one in taken) * 1e6
        cuts = _cuts(taken)
        added: list[float | None] = [(cuts[at] - base[at]) * 1e3 for at in (49, 98)]
        whole = [None if name == DIRECT else value for value in (cost, *added)]
        rows.append((name, [*whole, cuts[98] * 1e3]))
    title = f"{STREAMS} event streams of {traffic.EVENTS_PER_SECOND} events a second"
    columns = ("CPU µs/event", "added p50 ms", "added p99 ms", "p99 ms")
    late = {name: values[2] for name, values in rows}
    goal = Goal(f"p99 added to an event at {STREAMS} streams", late.get(MOAT), 5.0, " ms")
    return Result([Table(title, columns, tuple(rows), digits=2)], [goal])


def _cuts(slices: Sequence[Slice]) -> list[float]:
    """The percentiles of the delays, each the median of its rounds."""
    rounds = [statistics.quantiles(one.delays, n=100) for one in slices]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def _streaming(target: Target, clients: Sequence[Client]) -> Callable[[float], Slice]:
    def stream(seconds: float) -> Slice:
        count = _FIRST + round(max(seconds, 1.5) * traffic.EVENTS_PER_SECOND)
        return _read_streams(target, clients, count)

    return stream


def _read_streams(target: Target, clients: Sequence[Client], count: int) -> Slice:
    """Ask for a stream on every connection, and read them all to their ends."""
    asked = traffic.request("GET", f"/events/{count}", target.host, target.key)
    streams = {client.tls.fileno(): _Stream(client) for client in clients}
    with select.epoll() as epoll, measured(target) as taken:
        for number, stream in streams.items():
            stream.client.tls.setblocking(False)
            epoll.register(number, select.EPOLLIN)
            stream.client.tls.send(asked)
        until = time.perf_counter() + _LONGEST
        waiting = len(streams)
        while waiting:
            for number, _ in epoll.poll(30):
                stream = streams[number]
                taken.delays += stream.receive()
                waiting -= stream.ended
            if time.perf_counter() > until:
                raise RuntimeError(f"{target.name} does not bring the events")
        taken.units = sum(stream.events for stream in streams.values())
    if taken.units != count * len(streams):
        raise RuntimeError(f"{target.name} lost events")
    return taken


class _Stream:
    """One answer in chunks, however they are cut."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ended = False
        self.events = 0
        self._received = b""
        self._text = b""
        self._in_body = False

    def receive(self) -> list[float]:
        """Take what came: how many seconds each event was under way that is whole now."""
        self._received += self.client.read()
        now = time.monotonic_ns()
        if not self._in_body:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return []
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"not the answer that was wanted: {head[:300]!r}")
            self._received, self._in_body = rest, True
        self._take_chunks()
        *whole, self._text = self._text.split(b"\n\n")
        delays = [(now - _sent(event)) / 1e9 for event in whole]
        uncounted = max(0, _FIRST - self.events)
        self.events += len(delays)
        return delays[uncounted:]

    def _take_chunks(self) -> None:
        while True:
            line, found, rest = self._received.partition(b"\r\n")
            size = int(line, 16) if found else 0
            if not found or len(rest) < size + 2:
                return
            self._text += rest[:size]
            self._received = rest[size + 2 :]
            if not size:
                self.ended = True
                return


def _sent(event: bytes) -> int:
    found = _SENT.search(event)
    if found is None:
        raise RuntimeError(f"not an event: {event[:300]!r}")
    return int(found[1])
