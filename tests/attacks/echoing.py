"""A server that repeats the key it is given, in any way it is asked to."""

from __future__ import annotations

import base64
import gzip
import html
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import brotli
import zstandard

from standin.certs import make_certificates

Spell = Callable[[str], bytes]
Answer = Callable[[str], list[bytes]]

SPELLINGS: dict[str, Spell] = {
    "plain": str.encode,
    "hex": lambda key: key.encode().hex().encode(),
    "percent": lambda key: quote(key).replace("-", "%2D").encode(),
    "percent-all": lambda key: b"".join(b"%%%02x" % byte for byte in key.encode()),
    "json": lambda key: b"".join(b"\\u%04x" % byte for byte in key.encode()),
    "html": lambda key: b"".join(b"&#%d;" % byte for byte in key.encode()),
    "base64": lambda key: base64.b64encode(key.encode()),
    "basic": lambda key: base64.b64encode(f"user:{key}".encode()),
    "base64-url": lambda key: base64.urlsafe_b64encode(f"?>{key}?>".encode()),
    "mail": lambda key: base64.encodebytes(f"{'x' * 70}{key}{'x' * 70}".encode()),
}
"""The key as it may stand in a text."""


def pack(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": pack,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda body: brotli.compress(pack(body)),
}
"""Bodies as they may be coded."""

UNKNOWN = (b"compress", b"gzip, dcb")

_PATIENCE = 20.0  # seconds


def body(hidden: bytes) -> bytes:
    return b'{"you": "' + html.escape("<&>").encode() + hidden + b'"}\n'


def whole(content: bytes, *fields: bytes, status: bytes = b"200 OK") -> list[bytes]:
    return [head(b"Content-Length: %d" % len(content), *fields, status=status) + content]


def chunked(pieces: list[bytes], *trailers: bytes, coding: bytes = b"identity") -> list[bytes]:
    """In chunks, each with an extension, and written one by one."""
    chunks = [b"%x;a=b\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    fields = (b"Transfer-Encoding: chunked", b"Content-Encoding: " + coding)
    return [head(*fields), *chunks, b"\r\n".join([b"0", *trailers, b"", b""])]


def head(*fields: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", b""])


def bytewise(content: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in content]


def frame(opcode: int, payload: bytes) -> bytes:
    return bytes((opcode, len(payload))) + payload


def _events(key: str) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for event in (b"data: first\n\n", b"data: " + key.encode() + b"\n\n"):
        yield packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


@cache
def _bomb() -> list[bytes]:
    packer = zlib.compressobj(wbits=31)
    content = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    return chunked([content[at : at + 4096] for at in range(0, len(content), 4096)], coding=b"gzip")


_SWITCH = (b"Upgrade: websocket", b"Connection: Upgrade")

ANSWERS: dict[str, Answer] = {
    "/v1/models": lambda key: whole(b"{}"),
    **{
        f"/{name}": lambda key, spell=spell: whole(body(spell(key)))  # type: ignore[misc]
        for name, spell in SPELLINGS.items()
    },
    **{
        f"/bytewise/{name}": lambda key, spell=spell: chunked(bytewise(body(spell(key))))  # type: ignore[misc]
        for name, spell in SPELLINGS.items()
    },
    **{
        "/coded/" + quote(name, safe=""): lambda key, name=name, code=code: whole(  # type: ignore[misc]
            code(body(key.encode())), b"Content-Encoding: " + name.encode()
        )
        for name, code in CODINGS.items()
    },
    **{
        f"/unknown/{number}": lambda key, coding=coding: whole(  # type: ignore[misc]
            key.encode()[::-1], b"Content-Encoding: " + coding
        )
        for number, coding in enumerate(UNKNOWN)
    },
    "/no-gzip": lambda key: whole(body(key.encode()), b"Content-Encoding: gzip"),
    "/cut-gzip": lambda key: whole(pack(body(key.encode()))[:-3], b"Content-Encoding: gzip"),
    "/bomb": lambda key: _bomb(),
    "/utf-16": lambda key: whole(
        key.encode("utf-16-le"), b"Content-Type: text/plain; charset=utf-16le"
    ),
    "/part": lambda key: whole(
        key.encode()[:9], b"Content-Range: bytes 0-8/40", status=b"206 Partial Content"
    ),
    "/fields": lambda key: whole(
        b"{}",
        b"X-Echo: Bearer " + key.encode(),
        b"X-" + key.encode() + b": 1",
        b"Location: /?key=" + SPELLINGS["percent"](key),
        status=b"401 Not " + key.encode(),
    ),
    "/early": lambda key: [
        head(b"Link: " + key.encode(), status=b"103 Early Hints"),
        *whole(b"{}"),
    ],
    "/trailers": lambda key: chunked([b"{}"], b"X-Echo: " + key.encode()),
    "/rest": lambda key: [head(b"Connection: close") + key.encode()[:9], key.encode()[9:]],
    "/events": lambda key: chunked([*_events(key)], coding=b"gzip"),
    "/go": lambda key: whole(b"{}"),
    "/websocket": lambda key: [
        head(*_SWITCH, status=b"101 Switching Protocols"),
        frame(0x01, b"you: " + key.encode()[:9]),
        frame(0x89, b"?"),
        frame(0x80, key.encode()[9:] + b"!"),
        frame(0x88, b"\x03\xe8" + key.encode()),
    ],
    "/deflated": lambda key: [
        head(
            *_SWITCH,
            b"Sec-WebSocket-Extensions: permessage-deflate",
            status=b"101 Switching Protocols",
        )
    ],
}
"""By path: what is written, piece by piece, to whom the key came from."""


@dataclass
class Seen:
    """A request as it arrived."""

    path: str
    key: str
    fields: dict[str, str] = field(default_factory=dict)


class EchoServer:
    """One server for some hosts, by TLS on loopback."""

    def __init__(self, directory: Path, hosts: tuple[str, ...]) -> None:
        certificate = make_certificates(directory, names=hosts)
        self.ca_file = certificate.ca_file
        self._context = certificate.server_context()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.seen: list[Seen] = []
        self._first_event_seen = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> EchoServer:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(_PATIENCE)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(connection, server_side=True) as wire:
            data = b""
            while b"\r\n\r\n" not in data:
                more = wire.recv(1 << 16)
                if not more:
                    return
                data += more
            request = _read(data)
            self.seen.append(request)
            if request.path == "/go":
                self._first_event_seen.set()
            for number, piece in enumerate(ANSWERS[request.path](request.key)):
                if request.path == "/events" and number == 2:
                    self._first_event_seen.wait(_PATIENCE)
                    self._first_event_seen.clear()
                wire.sendall(piece)
            with suppress(ssl.SSLError, OSError):
                wire.unwrap()


def _read(data: bytes) -> Seen:
    first, *lines = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    fields = {name.lower(): value for name, _, value in pairs}
    key = fields["authorization"].removeprefix("Bearer ")
    return Seen(first.split(" ")[1], key, fields)
