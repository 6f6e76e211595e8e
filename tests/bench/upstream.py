"""The server behind every proxy: `python -m tests.bench.upstream PORT CERTIFICATE`.

One thread on epoll and OpenSSL, with nothing between: it must never be what is waited for.

- `POST /v1/…`: a small answer.
- `GET /bulk/MIB`, `POST /bulk`: that many MiB down; any number of bytes up.
- `GET /events/COUNT`: a stream of COUNT events, EVENTS_PER_SECOND a second. Streams begin at
  different moments of their period, as streams do.

To the host that has a credential, a request without the real key is answered 401: what did not do
its work is not measured.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import random
import re
import select
import socket
import ssl
import sys
import time

from tests.bench import traffic

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEYLESS_HOST = re.compile(rb"\r\nhost: *" + traffic.PLAIN.encode(), re.IGNORECASE)
_KEY = b"Bearer " + traffic.KEY.encode()
_DONE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_BULK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"


class Peer:
    """One connection."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self._server = server
        self._tls = server.context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        self.fileno = self._tls.fileno()
        self._ready = False
        self._buffer = bytearray()
        self._head = b""
        self._awaited = 0  # bytes of a body
        self._out: list[memoryview] = []
        self._watching = select.EPOLLIN

    def handle(self, events: int) -> None:
        """Go on with whatever the connection is ready for."""
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._ready = True
            if events & select.EPOLLOUT:
                self._flush()
            self._read()
        except ssl.SSLWantReadError:
            pass
        except OSError:
            self._server.drop(self)

    def close(self) -> None:
        """Close without a word."""
        self._tls.close()

    def write(self, data: bytes | memoryview) -> None:
        """Send, or keep what the network does not take yet."""
        self._out.append(memoryview(data))
        if len(self._out) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._out:
            try:
                sent = self._tls.send(self._out[0])
            except ssl.SSLWantWriteError:
                break
            self._out[0] = self._out[0][sent:]
            if not self._out[0]:
                del self._out[0]
        wanted = select.EPOLLIN | (select.EPOLLOUT if self._out else 0)
        if wanted != self._watching:
            self._watching = wanted
            self._server.epoll.modify(self.fileno, wanted)

    def _read(self) -> None:
        data = self._tls.recv(1 << 16)  # a record has less: nothing of it stays behind
        if not data:
            self._server.drop(self)
        elif self._awaited > len(data):  # the middle of a large body
            self._awaited -= len(data)
        else:
            self._buffer += data
            self._parse()

    def _parse(self) -> None:
        while self._buffer:
            if not self._head:
                end = self._buffer.find(b"\r\n\r\n")
                if end < 0:
                    return
                self._head = bytes(self._buffer[:end])
                del self._buffer[: end + 4]
                length = _LENGTH.search(self._head)
                self._awaited = int(length[1]) if length else 0
            taken = min(self._awaited, len(self._buffer))
            del self._buffer[:taken]
            self._awaited -= taken
            if self._awaited:
                return
            head, self._head = self._head, b""
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if _KEY not in head and not _KEYLESS_HOST.search(head):
            self.write(_REFUSED)
            return
        method, path, _ = head.split(b" ", 2)
        if path.startswith(b"/v1/"):
            self.write(traffic.answer(next(self._server.numbers)))
        elif path.startswith(b"/events/"):
            self.write(_STREAM)
            self._server.stream(self, int(path.rpartition(b"/")[2]))
        elif method == b"POST":
            self.write(_DONE)
        else:
            count = int(path.rpartition(b"/")[2])
            self.write(_BULK % (count * traffic.MIB))
            for _ in range(count):
                self.write(self._server.block)


class Server:
    """Every connection, and the streams that have events to come."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        self.context = context
        self.epoll = select.epoll()
        self.numbers = itertools.count(1)
        self.block = traffic.block()
        self._listener = listener
        self._peers: dict[int, Peer] = {}
        # When, on which connection, which event of how many.
        self._due: list[tuple[float, int, int, int, Peer]] = []
        self._random = random.Random(1)
        self.epoll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        """Serve for ever."""
        listening = self._listener.fileno()
        while True:
            timeout = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for number, events in self.epoll.poll(timeout):
                if number == listening:
                    self._accept()
                elif number in self._peers:
                    self._peers[number].handle(events)
            self._send_due()

    def stream(self, peer: Peer, count: int) -> None:
        """Send a peer its events from a moment within the next period on."""
        begin = time.monotonic() + self._random.random() / traffic.EVENTS_PER_SECOND
        heapq.heappush(self._due, (begin, peer.fileno, 0, count, peer))

    def drop(self, peer: Peer) -> None:
        """Forget a connection that is over."""
        if self._peers.pop(peer.fileno, None) is not None:
            self.epoll.unregister(peer.fileno)
            self._due = [item for item in self._due if item[-1] is not peer]
            heapq.heapify(self._due)
        peer.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(self, connection)
        self._peers[peer.fileno] = peer
        self.epoll.register(peer.fileno, select.EPOLLIN)

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            due, _, number, count, peer = heapq.heappop(self._due)
            try:
                if number == count:
                    peer.write(b"0\r\n\r\n")
                    continue
                peer.write(traffic.event(number, time.monotonic_ns()))
            except OSError:
                self.drop(peer)
                continue
            due += 1 / traffic.EVENTS_PER_SECOND
            heapq.heappush(self._due, (due, peer.fileno, number + 1, count, peer))


def main(port: str, certificate: str) -> None:
    """Serve a port of 127.0.0.1 with a certificate and its key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=1024)
    gc.disable()
    Server(listener, context).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
