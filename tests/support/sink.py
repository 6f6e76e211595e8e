"""Servers that write down what reaches them, by TLS or in the clear, and say yes to everything
that they were not given another answer for."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from standin.certs import make_certificates

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_TLS_HELLO = 0x16  # RFC 8446 section 5.1


class Sinks:
    """Servers by name, on loopback, with one certificate for all their hosts; `answers` by path."""

    def __init__(
        self,
        directory: Path,
        *,
        hosts: tuple[str, ...],
        names: tuple[str, ...],
        answers: Mapping[str, bytes] | None = None,
    ) -> None:
        self._answers = answers or {}
        certificate = make_certificates(directory, names=hosts)
        self.ca_file = certificate.ca_file
        self._context = certificate.server_context()
        self._listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
        self.ports = {name: at.getsockname()[1] for name, at in self._listeners.items()}
        self.seen: dict[str, list[tuple[bool, bytes]]] = {name: [] for name in names}
        """By name: whether it came by TLS, and the head as it was."""
        self.bodies: dict[str, list[bytes]] = {name: [] for name in names}
        """The bodies of the same requests, as they came."""
        self._threads = [threading.Thread(target=self._serve, args=(name,)) for name in names]

    def __enter__(self) -> Sinks:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._listeners.values():
            listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for listener in self._listeners.values():
            listener.close()

    def _serve(self, name: str) -> None:
        while True:
            try:
                connection, _ = self._listeners[name].accept()
            except OSError:
                return
            with suppress(OSError), connection:
                connection.settimeout(10)
                self._meet(name, connection)

    def _meet(self, name: str, connection: socket.socket) -> None:
        first = connection.recv(1, socket.MSG_PEEK)
        secure = bool(first) and first[0] == _TLS_HELLO
        wire = self._context.wrap_socket(connection, server_side=True) if secure else connection
        with wire:
            head = b""
            while b"\r\n\r\n" not in head and (data := wire.recv(1 << 16)):
                head += data
            head, end, body = head.partition(b"\r\n\r\n")
            self.seen[name].append((secure, head + end))
            while not _is_whole(head, body) and (data := wire.recv(1 << 16)):
                body += data
            self.bodies[name].append(body)
            path = head.split(b" ")[1:2] or [b""]
            wire.sendall(self._answers.get(path[0].decode(), _ANSWER))
            with suppress(ssl.SSLError, OSError):
                wire.shutdown(socket.SHUT_WR)


def _is_whole(head: bytes, body: bytes) -> bool:
    if re.search(rb"(?i)^transfer-encoding:", head, re.MULTILINE):
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *([0-9]+)", head, re.MULTILINE)
    return length is None or len(body) >= int(length[1])
