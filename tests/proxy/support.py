"""A proxy on loopback with a strict server behind it, and a client in front, all over real TLS.

The proxy runs in an event loop of its own thread; servers and clients are plain blocking sockets,
so that a test reads as what goes over the wire.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import uvloop

from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.exchange import Entry, Measured
from moat.engine.inject import Injection
from moat.engine.policy import Policy, Rule
from moat.engine.session import RunSession
from moat.errors import GrantError, RecordError
from moat.pki.ca import Authority
from moat.pki.leaf import LeafCache
from moat.proxy.interface import Handed
from moat.proxy.server import ProxyServer
from moat.proxy.upstream import Upstreams

PATIENCE = 10.0
API = "api.example.com"
KEY = "sk-real"

Headers = list[tuple[str, str]]


class Stream:
    """A blocking socket that is read by heads, counts and lines."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.buffer = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def fill(self) -> bool:
        """Read more; False at an orderly end. Raises SSLEOFError or ConnectionError at a cut."""
        try:
            data = self.sock.recv(65536)
        except ssl.SSLZeroReturnError:  # what it is called when this side has ended, too
            return False
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Read up to a mark, which is included; what there is when the connection ends."""
        while mark not in self.buffer:
            if not self.fill():
                return self.take(len(self.buffer))
        return self.take(self.buffer.index(mark) + len(mark))

    def exactly(self, size: int) -> bytes:
        """Read this many bytes."""
        while len(self.buffer) < size:
            assert self.fill(), f"ended {size - len(self.buffer)} bytes early"
        return self.take(size)

    def rest(self) -> bytes:
        """Read to the orderly end."""
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def take(self, size: int) -> bytes:
        """Take from what was read."""
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def chunked(self) -> tuple[bytes, bytes]:
        """Read a chunked body: its data, and its trailers as they stood."""
        data = b""
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            data += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        trailers = b""
        while (line := self.until(b"\r\n")) != b"\r\n":
            trailers += line
        return data, trailers

    def is_silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for a while."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)
        self.buffer += data
        return False

    def is_closed(self) -> bool:
        """Wait for the end of the connection, whichever."""
        try:
            self.rest()
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close without a word."""
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


def head_of(raw: bytes) -> tuple[str, Headers]:
    """The first line and the fields of a head."""
    assert raw.endswith(b"\r\n\r\n"), f"no whole head: {raw!r}"
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    return first, [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


@dataclass
class Received:
    """What a server got."""

    line: str
    headers: Headers
    body: bytes
    connection: int

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Answer:
    """What a client got."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""
    trailers: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document it holds."""
        assert self.all("content-type") == ["application/problem+json"]
        document = json.loads(self.body)
        assert document["status"] == self.status
        return document


class Client(Stream):
    """A client's side of a connection."""

    def head(self) -> Answer:
        """Read the head of an answer."""
        first, headers = head_of(self.until(b"\r\n\r\n"))
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1"
        return Answer(int(status), reason, headers)

    def answer(self, method: str = "GET") -> Answer:
        """Read an answer with its body."""
        answer = self.head()
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        if answer.all("transfer-encoding"):
            answer.body, answer.trailers = self.chunked()
        elif lengths := answer.all("content-length"):
            answer.body = self.exactly(int(lengths[0]))
        else:
            answer.body = self.rest()
        return answer

    def get(self, path: str = "/", host: str = API, *, more: str = "") -> Answer:
        """Ask, and read the answer."""
        self.send(get(path, host, more=more))
        return self.answer()


def get(path: str = "/", host: str = API, *, more: str = "", method: str = "GET") -> bytes:
    """A request without a body; `more` are whole header lines."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode("latin-1")


def post(body: bytes, host: str = API, *, more: str = "") -> bytes:
    """A request with a body of a stated length."""
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode("latin-1") + body


def reply(body: bytes = b"ok", *, more: str = "", status: str = "200 OK") -> bytes:
    """An answer with a body of a stated length."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode("latin-1") + body


class Server:
    """A server on loopback: each connection is served by `script`, in a thread of its own.

    `requests` holds what was read by `receive`, `connections` counts who came, `heard` says
    whether a byte of a request ever arrived.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.heard = False
        self.script: Callable[[Stream], None] = self.serve
        self.errors: list[BaseException] = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._streams: list[Stream] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def receive(self, stream: Stream) -> Received | None:
        """Read one request, strictly; None at the end of the connection."""
        raw = stream.until(b"\r\n\r\n")
        self.heard = self.heard or bool(raw)
        if not raw:
            return None
        line, headers = head_of(raw)
        received = Received(line, headers, b"", self.connections)
        lengths, encodings = received.all("content-length"), received.all("transfer-encoding")
        assert len(lengths) + len(encodings) <= 1
        assert len(received.all("host")) == 1
        if lengths:
            received.body = stream.exactly(int(lengths[0]))
        elif encodings:
            received.body, _ = stream.chunked()
        self.requests.append(received)
        return received

    def serve(self, stream: Stream) -> None:
        """Answer every request with 200."""
        while self.receive(stream):
            stream.send(reply())

    def answers(self, *raw: bytes, close: bool = False) -> None:
        """Answer the requests of each connection with these bytes in turn, then with 200."""

        def script(stream: Stream) -> None:
            rest = list(raw)
            while self.receive(stream):
                stream.send(rest.pop(0) if rest else reply())
                if close and not rest:
                    end_tls(stream)
                    return

        self.script = script

    def close(self) -> None:
        """Stop, and end every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for stream in self._streams:
            try:
                stream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in self._streams:
            stream.close()
        self._listener.close()
        if self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        if self._context is not None:
            plain = sock
            try:
                sock = self._context.wrap_socket(
                    plain, server_side=True, suppress_ragged_eofs=False
                )
            except OSError:  # who does not trust us goes away
                plain.close()
                return
        stream = Stream(sock)
        self._streams.append(stream)
        try:
            self.script(stream)
        except OSError:
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            stream.close()


def end_tls(stream: Stream) -> None:
    """Say that nothing more will be sent, and close."""
    if isinstance(stream.sock, ssl.SSLSocket):
        stream.sock.settimeout(0.5)
        try:
            stream.sock.unwrap()
        except OSError:
            pass
    stream.close()


@dataclass
class Ledger:
    """A recorder that can be told to fail."""

    rows: dict[int, list[tuple[Entry, Measured]]] = field(default_factory=dict)
    failing: bool = False
    on_record: Callable[[Entry], None] | None = None

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        if self.failing:
            raise RecordError("the trace cannot be written")
        if self.on_record:
            self.on_record(entry)
        row = dataclasses.replace(entry), dataclasses.replace(measured)
        self.rows.setdefault(number, []).append(row)


class Keys:
    """A credential source of one grant."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.secrets = {"openai": KEY}

    async def resolve(self, grant: str) -> Secret:
        self.asked.append(grant)
        if grant not in self.secrets:
            raise GrantError(f"nothing is granted as {grant}")
        return Secret(self.secrets[grant])


class World:
    """A running proxy with everything around it; `close` ends all of it."""

    def __init__(
        self, authority: Authority, leaves: LeafCache, upstream: ssl.SSLContext, server: Server
    ) -> None:
        self.ledger = Ledger()
        self.keys = Keys()
        self.server = server
        self.plain = Server()
        self._clients: list[Stream] = []
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._trust = ssl.create_default_context(cadata=authority.pem.decode())
        dial = {
            (API, 443): ("127.0.0.1", server.port),
            ("other.example.com", 443): ("127.0.0.1", server.port),
            (API, 80): ("127.0.0.1", self.plain.port),
            ("::1", 443): ("127.0.0.1", server.port),
            ("127.0.0.1", 443): ("127.0.0.1", server.port),
        }
        self.upstreams = Upstreams(lambda: upstream, connect_to=dial)
        self.handed = Handed(
            RunSession("0123456789"), self.keys, self.ledger, leaves, self.upstreams
        )
        self.proxy = ProxyServer(self.handed)
        self.allow(API, "other.example.com", f"{API}:80", "[::1]", "127.0.0.1")
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.call(self.proxy.listen(listener))

    def allow(self, *patterns: str, inject: Iterable[Injection] | None = None) -> None:
        """Replace the session: what is allowed, and what is put in (a key for API, if unsaid)."""
        if inject is None:
            strips = ("X-Api-Key", "Cookie")
            inject = [
                Injection("openai", HostPattern.parse(API), "Authorization", "Bearer {}", strips)
            ]
        rules = tuple(Rule(HostPattern.parse(text), "option") for text in patterns)
        self.handed.session = RunSession("0123456789", Policy(rules), tuple(inject), "moat codex")

    def call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something in the proxy's loop."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def client(self) -> Client:
        """A connection to the proxy."""
        client = Client(socket.create_connection(("127.0.0.1", self.port)))
        self._clients.append(client)
        return client

    def connect(self, authority: str = f"{API}:443") -> Client:
        """A tunnel, before anything is sent through it."""
        client = self.client()
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        return client

    def tunnel(
        self,
        authority: str = f"{API}:443",
        *,
        name: str | None = None,
        alpn: Iterable[str] = ("http/1.1",),
    ) -> Client:
        """A tunnel with TLS in it; `name` is what the TLS hello asks for, if not the same."""
        client = self.connect(authority)
        host = name or authority.rpartition(":")[0].strip("[]")
        self._trust.set_alpn_protocols(list(alpn))
        client.sock = self._trust.wrap_socket(
            client.sock, server_hostname=host, suppress_ragged_eofs=False
        )
        return client

    def trace(self, count: int) -> list[tuple[Entry, Measured]]:
        """The last record of each of this many exchanges, once all of them are over."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            last = [self.ledger.rows[number][-1] for number in sorted(self.ledger.rows)]
            if len(last) >= count and all(entry.outcome != "open" for entry, _ in last):
                assert len(last) == count, [entry for entry, _ in last]
                return last
            time.sleep(0.005)
        raise AssertionError(f"never {count} exchanges: {self.ledger.rows}")

    def untouched(self) -> bool:
        """Whether no server heard anything."""
        return not (self.server.heard or self.plain.heard)

    def close(self) -> None:
        """End everything."""
        for client in self._clients:
            client.close()
        self.call(self.proxy.close())
        assert not self.proxy._tasks
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        self.server.close()
        self.plain.close()


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
