"""A server over TLS whose answers never end."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from standin.certs import make_certificates


class Drip:
    """It answers every request with a few bytes, again and again."""

    def __init__(self, directory: Path, host: str) -> None:
        certificate = make_certificates(directory, names=(host,))
        self.ca_file = certificate.ca_file
        self._context = certificate.server_context()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._end.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as wire:
                    wire.recv(1 << 16)
                    wire.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    while not self._end.wait(0.05):
                        wire.sendall(b"5\r\ndrip\n\r\n")
            except OSError:
                continue

    def close(self) -> None:
        """Stop."""
        self._end.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)
