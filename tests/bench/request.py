"""What a small request costs on its way through the proxy."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import ssl
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tests.bench.measure import report

from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.inject import Injection
from moat.engine.policy import Policy, Rule
from moat.engine.session import RunSession
from moat.ledger.trace import Trace
from moat.pki.ca import ensure_authority
from moat.pki.leaf import LeafCache
from moat.pki.trust import upstream_context
from moat.proxy.interface import Handed
from moat.proxy.server import ProxyServer
from moat.proxy.upstream import Upstreams
from standin.certs import make_certificates

HOST = "api.openai.com"
REQUESTS = 2000
ROUNDS = 5
_REQUEST = (
    f"GET /v1/models HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer placeholder\r\n\r\n"
).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class _Grants:
    async def resolve(self, grant: str) -> Secret:
        return Secret("sk-bench")


def bench_request() -> None:
    """One client, keep-alive, TLS on both sides, policy, injection and trace on."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        place.chmod(0o700)
        server, proxy = _start(_serve, place), None
        try:
            upstream_port = int(server[1].recv())
            proxy = _start(_proxy, place, upstream_port)
            proxy_port = int(proxy[1].recv())
            results: dict[str, list[float]] = {"direct": [], "through the proxy": []}
            for _ in range(ROUNDS):
                results["direct"].append(_ask(upstream_port, place / "tls" / "ca.pem", None))
                results["through the proxy"].append(_ask(proxy_port, place / "ca" / "ca.pem", HOST))
            cpu = _cpu_seconds(proxy[0].pid or 0) / (REQUESTS * ROUNDS)
        finally:
            for process, _ in filter(None, (server, proxy)):
                process.terminate()
                process.join()
    medians = {name: statistics.median(values) for name, values in results.items()}
    report("A small request, round trip", "direct", medians, unit=1e6, name="µs")
    print(f"  processor time of the proxy {cpu * 1e6:9.1f} µs a request")


def _start(target: object, *arguments: object) -> tuple[multiprocessing.Process, Connection]:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)  # type: ignore[arg-type]
    process.start()
    return process, ours  # type: ignore[return-value]


def _serve(ready: Connection, place: Path) -> None:
    """The upstream: answers every request the same, as fast as it can."""

    class Answer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while b"\r\n\r\n" in self.buffer:
                _, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
                self.transport.write(_ANSWER)  # type: ignore[attr-defined]

    async def main() -> None:
        context = make_certificates(place / "tls", names=[HOST]).server_context()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Answer, "127.0.0.1", 0, ssl=context)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    _run(main)


def _proxy(ready: Connection, place: Path, upstream_port: int) -> None:
    async def main() -> None:
        leaves = LeafCache(ensure_authority(place / "ca"))
        pattern = HostPattern(HOST)
        session = RunSession(
            "bench",
            Policy((Rule(pattern, "agent"),)),
            (Injection("openai", pattern, "Authorization", "Bearer {}"),),
        )
        tls = upstream_context(place / "tls" / "ca.pem")
        upstreams = Upstreams(lambda: tls, connect_to={(HOST, 443): ("127.0.0.1", upstream_port)})
        trace = Trace(place / "trace.db")
        server = ProxyServer(Handed(session, _Grants(), trace, leaves, upstreams))
        listener = socket.create_server(("127.0.0.1", 0))
        await server.listen(listener)
        ready.send(listener.getsockname()[1])
        await asyncio.Event().wait()

    _run(main)


def _run(main: object) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())  # type: ignore[operator]


def _ask(port: int, roots: Path, tunnel_to: str | None) -> float:
    """Seconds a request takes, over REQUESTS of them on one connection."""
    context = ssl.create_default_context(cafile=str(roots))
    raw = socket.create_connection(("127.0.0.1", port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tunnel_to is not None:
        raw.sendall(f"CONNECT {tunnel_to}:443 HTTP/1.1\r\nHost: {tunnel_to}:443\r\n\r\n".encode())
        raw.recv(1000)
    with context.wrap_socket(raw, server_hostname=HOST) as connection:
        began = time.perf_counter()
        for _ in range(REQUESTS):
            connection.sendall(_REQUEST)
            received = b""
            while not received.endswith(b"ok"):
                received += connection.recv(4096)
        return (time.perf_counter() - began) / REQUESTS


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
