"""The clients: TLS connections to a target, through a tunnel where it is a proxy for such.

One thread on epoll and OpenSSL: it takes less of the machine than what it measures.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import traffic
from tests.bench.process import cpu_seconds

# What a proxy still does once the last answer is out, such as writing its records, is its cost.
SETTLE_SECONDS = 0.3
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """What is asked, and as whom: `pid` is the proxy's, None where there is none to be measured.

    `tunnel` says that it wants a CONNECT first; `roots` are whom its certificate is from.
    """

    name: str
    port: int
    roots: Path
    host: str
    key: str
    pid: int | None = None
    tunnel: bool = False

    def cpu(self) -> float:
        """Processor time used so far, in seconds; nothing without a proxy."""
        return 0.0 if self.pid is None else cpu_seconds(self.pid)


@dataclass(slots=True)
class Slice:
    """What one measured stretch brought: so many units of work, at this cost.

    `seconds` on the clock, `cpu` in seconds of the proxy; `delays` in seconds, one a unit where
    they are taken.
    """

    units: float
    seconds: float
    cpu: float
    delays: list[float] = field(default_factory=list)


class Client:
    """A connection to a target."""

    def __init__(self, target: Target, context: ssl.SSLContext) -> None:
        self._requests = traffic.Requests(target.host, target.key)
        raw = socket.create_connection(("127.0.0.1", target.port), 30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tunnel:
            raw.sendall(
                f"CONNECT {target.host}:443 HTTP/1.1\r\nHost: {target.host}:443\r\n\r\n".encode()
            )
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += _some(raw)
            if b" 200 " not in answer.partition(b"\r\n")[0]:
                raise RuntimeError(f"{target.name} opens no tunnel: {answer[:200]!r}")
        # A client of a run rarely resumes a session: every connection is a whole handshake.
        self.tls = context.wrap_socket(raw, server_hostname=target.host)
        self._received = b""
        self._missing = 0  # bytes of the answer, once its head is known
        self._chunked = False
        self.sent = 0.0

    def close(self) -> None:
        """Close as clients do: without waiting for an answer."""
        self.tls.close()

    def read(self) -> bytes:
        """What came; nothing where that was TLS's own. Raises RuntimeError at the end."""
        try:
            return _some(self.tls)
        except ssl.SSLWantReadError:
            return b""

    def send_next(self) -> None:
        """Send a small request."""
        self._received, self._missing, self._chunked = b"", -1, False
        self.sent = time.perf_counter()
        self.tls.send(self._requests.next())

    def receive(self) -> bool:
        """Take what came; whether the answer is whole. Raises RuntimeError for a bad one."""
        data = self.read()
        if self._missing > 0:
            self._missing -= len(data)
            return self._missing == 0
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._received.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"not the answer that was wanted: {self._received[:300]!r}")
        length = _LENGTH.search(self._received, 0, end)
        if length is None:
            return self._received.endswith(b"0\r\n\r\n")
        self._missing = int(length[1]) - (len(self._received) - end - 4)
        return self._missing == 0


def context_for(target: Target) -> ssl.SSLContext:
    """The TLS of the clients of a target."""
    context = ssl.create_default_context(cafile=str(target.roots))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextlib.contextmanager
def connected(target: Target, count: int) -> Iterator[list[Client]]:
    """So many connections, ready for requests."""
    context = context_for(target)
    clients: list[Client] = []
    try:
        for _ in range(count):
            clients.append(Client(target, context))
        yield clients
    finally:
        for client in clients:
            client.close()


@contextlib.contextmanager
def measured(target: Target, settle: float = SETTLE_SECONDS) -> Iterator[Slice]:
    """Take time and processor time around a stretch; whoever works fills in the units."""
    taken = Slice(0, 0.0, 0.0)
    cpu, began = target.cpu(), time.perf_counter()
    yield taken
    taken.seconds = time.perf_counter() - began
    time.sleep(settle)
    taken.cpu = target.cpu() - cpu


def ask_on(
    target: Target, clients: Sequence[Client], seconds: float, *, settle: float = SETTLE_SECONDS
) -> Slice:
    """Small requests on connections that stay, one after the other on each, and at least one."""
    by_number = {client.tls.fileno(): client for client in clients}
    with select.epoll() as epoll, measured(target, settle) as taken:
        until = time.perf_counter() + seconds
        for number, client in by_number.items():
            epoll.register(number, select.EPOLLIN)
            client.tls.setblocking(False)
            client.send_next()
        waiting = len(clients)
        while waiting:
            for number, _ in epoll.poll(30):
                client = by_number[number]
                if not client.receive():
                    continue
                now = time.perf_counter()
                taken.delays.append(now - client.sent)
                if now < until:
                    client.send_next()
                else:
                    waiting -= 1
        taken.units = len(taken.delays)
    return taken


def connect_and_ask(target: Target, seconds: float) -> Slice:
    """A new connection for every small request, one after the other."""
    context = context_for(target)
    with measured(target) as taken:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            client = Client(target, context)
            client.send_next()
            while not client.receive():
                pass
            client.close()
            taken.delays.append(time.perf_counter() - began)
        taken.units = len(taken.delays)
    return taken


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise RuntimeError("the connection was closed")
    return data
