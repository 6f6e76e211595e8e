"""What large bodies cost, down and up."""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from tests.bench import traffic
from tests.bench.load import Client, Slice, Target, connected, measured
from tests.bench.measure import Pace
from tests.bench.report import Goal, Result, Row, Table, ratio
from tests.bench.targets import DIRECT, MOAT_PLAIN, NGINX, Field

MIBS = 64
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


def bulk(field: Field, pace: Pace) -> Result:
    """Transfers of MIBS MiB on a connection that stays, one after the other."""
    result = Result()
    for title, transfer in (("down", _Download()), ("up", _Upload())):
        with contextlib.ExitStack() as stack:
            slices: dict[str, Callable[[float], Slice]] = {}
            for target in field.targets.values():
                (client,) = stack.enter_context(connected(target, 1))
                slices[target.name] = _repeating(transfer, target, client)
            found = pace.interleaved(slices)
        rows = tuple(_rows(found))
        columns = ("CPU s/GiB", "MiB/s")
        result.tables.append(Table(f"{MIBS} MiB {title}", columns, rows, digits=2))
        cost = {name: values[0] for name, values in rows}
        what = f"CPU per GiB {title} where nothing is scrubbed, to nginx's"
        result.goals.append(Goal(what, ratio(cost.get(MOAT_PLAIN), cost.get(NGINX)), 1.5, "x"))
    return result


def _repeating(
    transfer: Callable[[Target, Client], None], target: Target, client: Client
) -> Callable[[float], Slice]:
    def repeat(seconds: float) -> Slice:
        with measured(target) as taken:
            until = time.perf_counter() + seconds
            while not taken.units or time.perf_counter() < until:
                transfer(target, client)
                taken.units += MIBS / 1024
        return taken

    return repeat


def _rows(found: Mapping[str, Sequence[Slice]]) -> list[Row]:
    return [
        (
            name,
            [
                None
                if name == DIRECT
                else statistics.median(one.cpu / one.units for one in found[name]),
                statistics.median(one.units * 1024 / one.seconds for one in found[name]),
            ],
        )
        for name in found
    ]


class _Download:
    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(1 << 18))

    def __call__(self, target: Target, client: Client) -> None:
        """Ask for a body and read it to its end."""
        client.tls.sendall(traffic.request("GET", f"/bulk/{MIBS}", target.host, target.key))
        head, rest = _read_head(client)
        length = _LENGTH.search(head)
        if length is None:
            self._read_chunks(client, rest)
            return
        missing = int(length[1]) - len(rest)
        while missing:
            missing -= _more(client.tls.recv_into(self._buffer))

    def _read_chunks(self, client: Client, last: bytes) -> None:
        """Read to the last chunk; the body's own text does not look like one."""
        while not last.endswith(_LAST_CHUNK):
            size = _more(client.tls.recv_into(self._buffer))
            last = (last + bytes(self._buffer[max(0, size - 5) : size]))[-5:]


class _Upload:
    def __init__(self) -> None:
        self._block = traffic.block()

    def __call__(self, target: Target, client: Client) -> None:
        """Send a body and read the answer."""
        size = MIBS * traffic.MIB
        client.tls.sendall(traffic.request("POST", "/bulk", target.host, target.key, size))
        for _ in range(MIBS):
            client.tls.sendall(self._block)
        _, rest = _read_head(client)
        while not rest.endswith((b"{}", _LAST_CHUNK)):
            rest += client.read()


def _read_head(client: Client) -> tuple[bytes, bytes]:
    """The head of an answer, and what came of its body with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.read()
    head, _, rest = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"not the answer that was wanted: {head[:300]!r}")
    return head, rest


def _more(size: int) -> int:
    if not size:
        raise RuntimeError("the connection was closed")
    return size
