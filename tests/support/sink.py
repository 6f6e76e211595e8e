"""Servers that write down what reaches them, by TLS or in the clear, and say yes to everything."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from standin.certs import make_certificates

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_TLS_HELLO = 0x16  # RFC 8446 section 5.1


class Sinks:
    """Servers by name, on loopback, with one certificate for all their hosts."""

    def __init__(self, directory: Path, *, hosts: tuple[str, ...], names: tuple[str, ...]) -> None:
        certificate = make_certificates(directory, names=hosts)
        self.ca_file = certificate.ca_file
        self._context = certificate.server_context()
        self._listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
        self.ports = {name: at.getsockname()[1] for name, at in self._listeners.items()}
        self.seen: dict[str, list[tuple[bool, bytes]]] = {name: [] for name in names}
        """By name: whether it came by TLS, and the head as it was."""
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
            self.seen[name].append((secure, head))
            wire.sendall(_ANSWER)
            with suppress(ssl.SSLError, OSError):
                wire.shutdown(socket.SHUT_WR)
