"""The clients of a soak: their connections, on which nothing of the secret may come."""

from __future__ import annotations

import base64
import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from h2 import events
from h2.exceptions import ProtocolError
from tests.soak import places
from tests.soak.book import Ask, Book, Scanner, pieces_of

from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER
from proxy.h2_support import Peer
from proxy.support import Answer, Client, Stream

PIECES = pieces_of(places.KEY)
_TOKEN = base64.b64encode(f"soak:{places.TOKEN}".encode()).decode()
KEYED = f"Authorization: Bearer {OPENAI_API_KEY_PLACEHOLDER}\r\n"
KEYED_H2 = (b"authorization", b"Bearer " + OPENAI_API_KEY_PLACEHOLDER.encode())
WEBSOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: soaksoaksoaksoaksoaksw==\r\n"
)
GONE = (OSError, AssertionError, ProtocolError)
"""What a client meets where a connection is cut."""
CUT = ("failed", "forwarded")


@dataclass
class Field:
    """What all clients share; `commands` takes lines for the proxy. `shut` is held by who closes
    and opens a host again."""

    book: Book
    port: int
    roots: Path
    command: Callable[[str], object]
    shut: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.trust = {}
        for protocol in ("http/1.1", "h2"):
            self.trust[protocol] = ssl.create_default_context(cafile=str(self.roots))
            self.trust[protocol].set_alpn_protocols([protocol])


class Ear(Client):
    """A connection to the proxy on which nothing of the secret may come."""

    def __init__(self, sock: socket.socket, book: Book) -> None:
        super().__init__(sock)
        sock.settimeout(places.PATIENCE)
        self._book = book
        self._scanner = Scanner(PIECES)

    def fill(self) -> bool:
        """Read more. See `Stream.fill`."""
        before = len(self.buffer)
        more = super().fill()
        if name := self._scanner.look(self.buffer[before:]):
            self._book.complain("secret", f"a client got a piece of the secret, {name}")
        return more


class H2Ear(Peer):
    """The same over HTTP/2."""

    book: Book

    def take(self, event: events.Event) -> None:
        """Note one event. See `Peer.take`."""
        super().take(event)
        said = b"".join(
            [b"\0".join(pair) + b"\0" for pair in getattr(event, "headers", None) or ()]
        )
        if isinstance(event, events.DataReceived):
            said = self.streams[event.stream_id].data
        if name := Scanner(PIECES).look(said):
            self.book.complain("secret", f"a client of HTTP/2 got a piece of the secret, {name}")

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send data, until it is all sent or the answer is there. See `Peer.send`."""
        while data and not (number in self.streams and self.streams[number].over):
            with self.lock:
                room = min(self.h2.local_flow_control_window(number), 16384, len(data))
                if room > 0:
                    part, data = data[:room], data[room:]
                    self.h2.send_data(number, part, end_stream=end and not data)
            if room > 0:
                self.flush()
            else:
                assert self.pump()


class Actor:
    """One client, which plays a scene at a time."""

    def __init__(self, field: Field, seed: str) -> None:
        self.rng = random.Random(seed)
        self._field = field
        self._book = field.book
        self._connections: list[Stream] = []

    def play(self, scene: str) -> None:
        """Play a scene, and leave nothing open."""
        try:
            getattr(self, scene)()
        except Exception as error:
            self._book.complain("client", f"{scene}: {error!r}")
        finally:
            for stream in self._connections:
                stream.close()
            self._connections.clear()

    # what scenes are made of

    def _dial(self) -> Ear:
        ear = Ear(socket.create_connection(("127.0.0.1", self._field.port)), self._book)
        self._connections.append(ear)
        return ear

    def _connect(self, authority: str, *, more: str = "", token: str | None = _TOKEN) -> Ear:
        ear = self._dial()
        shown = f"Proxy-Authorization: Basic {token}\r\n" if token else ""
        ear.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{shown}{more}\r\n".encode())
        return ear

    def _tunnel(self, host: str = places.API, protocol: str = "http/1.1") -> Ear:
        ear = self._connect(f"{host}:443")
        assert ear.head().status == 200
        ear.sock = self._field.trust[protocol].wrap_socket(
            ear.sock, server_hostname=host, suppress_ragged_eofs=False
        )
        return ear

    def _path(self, what: str, argument: int) -> tuple[Ask, str]:
        number = self._book.number()
        return self._book.ask(f"/s/{number}", what), f"/s/{number}/{what}/{argument}"

    def _ask(
        self,
        ear: Ear,
        what: str,
        argument: int = 0,
        *,
        host: str = places.API,
        method: str = "GET",
        more: str = "",
        body: bytes = b"",
    ) -> Ask:
        ask, path = self._path(what, argument)
        if body and "Transfer-Encoding" not in more and "Content-Length" not in more:
            more += f"Content-Length: {len(body)}\r\n"
        keyed = KEYED if host == places.API else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{keyed}{more}\r\n"
        ear.send(head.encode() + body)
        return ask

    def _take(self, ear: Ear, ask: Ask, status: int = 200, *outcomes: str) -> Answer:
        """The answer, which must be this."""
        answer = ear.answer()
        ask.told, ask.status = True, answer.status
        ask.outcomes = outcomes or ("forwarded",)
        if answer.status != status:
            self._book.complain("client", f"{ask.kind} {ask.mark} was answered {answer.status}")
        return answer

    def _leave(self, ear: Ear) -> None:
        """Go away without a word, or with a reset."""
        if self.rng.random() < 0.5:
            ear.reset()
        else:
            ear.close()

    def _somewhere(self) -> str:
        return self.rng.choice((places.API, places.API, places.PLAIN, places.ONLY_H2))


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame as clients send it; with a mask that changes nothing."""
    size = len(payload)
    short = min(size, 126) if size < 65536 else 127
    length = b"" if short < 126 else size.to_bytes(2 if short == 126 else 8, "big")
    return bytes((0x80 | opcode, 0x80 | short)) + length + bytes(4) + payload


def frame_of(ear: Ear) -> tuple[int, bytes]:
    """The next frame of a server."""
    first, size = ear.exactly(2)
    if size == 126:
        size = int.from_bytes(ear.exactly(2), "big")
    return first & 0x0F, ear.exactly(size)
