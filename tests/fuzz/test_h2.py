"""HTTP/2 on either side, bent: what it becomes in HTTP/1.1 is sound, and only what was judged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from hpack import Encoder

from fuzz import strict
from fuzz.cases import bitten, cut, noted, try_all
from fuzz.memory import API, KEY, Line, Servers, Told, converse
from fuzz.test_http import CONNECT, check_got
from moat.core.hosts import Destination
from moat.proxy.wire import Wire

Pairs = list[tuple[bytes, bytes]]

LOOSE = {
    "header_encoding": None,
    "validate_outbound_headers": False,
    "normalize_outbound_headers": False,
}
NAMES = (
    b"x-a", b"X-A", b"x a", b"", b"host", b"content-length", b"connection", b"transfer-encoding",
    b"te", b"cookie", b"authorization", b":path", b":status", b"upgrade", b"x\r\ny", b"expect",
    b"x:y",
)  # fmt: skip
VALUES = (
    b"1", b"", b"5", b"a\r\nx-evil: 1", b"a\nb", b"a\0b", b" a", b"a ", b"chunked", b"close",
    b"\xff", b"evil.example", b"trailers", b"gzip", b"GET /hidden HTTP/1.1\r\n\r\n",
    b"api.example.com",
)  # fmt: skip


def fields(rng: Random, pseudo: Pairs, faults: int) -> Pairs:
    """A list of fields with so many faults."""
    found = [*pseudo, (b"accept", b"*/*")]
    for _ in range(faults):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(5):
            case 0 if at < len(found):
                del found[at]
            case 1 if at < len(found):
                found[at] = (found[at][0], rng.choice(VALUES))
            case 2 if at < len(found):
                found.append(found[at])
            case _:
                found.insert(at, (rng.choice(NAMES), rng.choice(VALUES)))
    return found


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of any kind."""
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + payload


class Talk:
    """What a client says: frames of a few requests."""

    def __init__(self, rng: Random) -> None:
        self.frames = [frame(4, 0, 0, b"")]
        self._rng = rng
        self._encoder = Encoder()

    def ask(self, number: int, faults: int) -> None:
        """One request."""
        rng = self._rng
        body = rng.choice((b"", b"", b"hello", b"GET /hidden HTTP/1.1\r\n\r\n"))
        pseudo = [
            (b":method", b"POST" if body else b"GET"),
            (b":scheme", b"https"),
            (b":authority", API.encode()),
            (b":path", b"/%d" % number),
        ]
        if body and rng.random() < 0.5:
            pseudo.append((b"content-length", b"%d" % len(body)))
        block = self._encoder.encode(fields(rng, pseudo, faults))
        split = rng.random() < 0.1
        self.frames.append(
            frame(1, (0 if split else 4) | (not body), number, block[: 5 if split else None])
        )
        if split:
            self.frames.append(frame(9, 4, number, block[5:]))
        if body:
            trailers = rng.random() < 0.2
            self.frames.append(frame(0, not trailers, number, body))
            if trailers:
                said = fields(rng, [(b"x-sum", b"1")], faults)
                self.frames.append(frame(1, 5, number, self._encoder.encode(said)))

    def disturb(self) -> None:
        """Frames lost, doubled, in another order, or of a kind that does not belong there."""
        rng, frames = self._rng, self.frames
        at = rng.randrange(len(frames))
        match rng.randrange(5):
            case 0:
                del frames[at]
            case 1:
                frames.insert(rng.randrange(len(frames)), frames[at])
            case 2:
                frames[at] = bitten(rng, frames[at])
            case _:
                stream = rng.choice((0, 1, 2, 3, 99))
                odd = frame(
                    rng.randrange(12), rng.randrange(256), stream, rng.randbytes(rng.randrange(12))
                )
                frames.insert(at, odd)


def test_clients() -> None:
    """What goes up in HTTP/1.1 is one request for each that was judged."""

    async def one(rng: Random) -> None:
        talk = Talk(rng)
        for number in range(1, rng.choice((2, 4, 6)), 2):
            talk.ask(number, rng.choice((0, 0, 1, 2)))
        for _ in range(rng.choice((0, 0, 1, 2))):
            talk.disturb()
        data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(talk.frames)
        with noted("the client said", data):
            told = await converse([CONNECT, *cut(rng, data)])
            assert not told.errors, told.errors
            assert told.fault is None, told.fault
            sent = [message for raw in told.servers for message in strict.requests(raw)]
            check_judged(told, [(m.first[0], m.first[1], m.all(b"host")) for m in sent])
            for message in sent:
                assert [b"Bearer " + KEY.encode()] == message.all(b"authorization")
                assert not message.all(b"x-evil")

    try_all(one)


def check_judged(told: Told, sent: list[tuple[bytes, bytes, list[bytes]]]) -> None:
    """What went out are requests that were recorded as going out, to where they were to go."""
    opened = [rows[-1][0] for rows in told.rows.values() if rows[0][0].outcome == "open"]
    start = len(f"https://{API}")
    judged = Counter((each.method.encode(), each.url[start:].encode()) for each in opened)
    for request in judged:  # where it is safe, it is tried again once
        judged[request] *= 2 if request[0] in (b"GET", b"HEAD") else 1
    assert Counter((method, path) for method, path, _ in sent) <= judged
    assert all([API.encode()] == hosts for *_, hosts in sent)


class _H2Wire(Wire):
    @property
    def alpn(self) -> str | None:
        return "h2"


class H2Servers(Servers):
    """Servers of HTTP/2 alone, strict with what they get, and careless in what they say."""

    def __init__(self, rng: Random) -> None:
        super().__init__(lambda _: ())
        self._only_h2.add(Destination("https", API, 443))
        self.asked: list[tuple[bytes, bytes, list[bytes]]] = []
        self.broken: list[str] = []
        self._rng = rng

    async def _connect(self, destination: Destination, local: bool, offered: Sequence[str]) -> Wire:
        wire = _H2Wire()
        server = H2Connection(H2Configuration(client_side=False, **LOOSE))  # type: ignore[arg-type]
        server.initiate_connection()
        self.lines.append(Line(wire, lambda line: self._take(server, line)))
        self._say(self.lines[-1], server.data_to_send())
        return wire

    def _say(self, line: Line, data: bytes) -> None:
        if data:
            asyncio.get_running_loop().call_soon(line.say, data)

    def _take(self, server: H2Connection, line: Line) -> None:
        data = bytes(line.sent)
        line.sent.clear()
        try:
            found = server.receive_data(data)
        except ProtocolError as error:
            self.broken.append(repr(error))
            return
        for event in found:
            if isinstance(event, events.RequestReceived):
                said = dict(event.headers)
                self.asked.append((said[b":method"], said[b":path"], [said[b":authority"]]))
            elif isinstance(event, events.StreamEnded):
                self._reply(server, event.stream_id)
        out = server.data_to_send()
        self._say(line, bitten(self._rng, out) if self._rng.random() < 0.1 else out)

    def _reply(self, server: H2Connection, number: int) -> None:
        rng = self._rng
        faults = rng.choice((0, 0, 1, 2))
        body = rng.choice((b"", b"ok", b"HTTP/1.1 200 OK\r\n\r\n"))
        try:
            if rng.random() < 0.2:
                server.send_headers(number, fields(rng, [(b":status", b"103")], faults))
            pseudo = [
                (b":status", rng.choice((b"200", b"404", b"204", b"304", b"101", b"20", b"600")))
            ]
            if rng.random() < 0.5:
                pseudo.append((b"content-length", rng.choice((b"%d" % len(body), b"5", b"0"))))
            server.send_headers(number, fields(rng, pseudo, faults))
            server.send_data(number, body)
            if rng.random() < 0.3:
                said = fields(rng, [(b"x-sum", b"1")], faults)
                server.send_headers(number, said, end_stream=True)
            else:
                server.end_stream(number)
        except Exception:  # it was given up meanwhile, or is too much for h2 itself
            pass


def test_servers() -> None:
    """What comes down in HTTP/1.1 is one answer to each request, and nobody is asked twice."""

    async def one(rng: Random) -> None:
        methods = [rng.choice(("GET", "HEAD", "POST")) for _ in range(rng.choice((1, 2, 3)))]
        asked = [
            f"{method} /{number} HTTP/1.1\r\nHost: {API}\r\n\r\n".encode()
            for number, method in enumerate(methods)
        ]
        servers = H2Servers(rng)
        told = await converse([CONNECT, *asked], servers=servers)
        with noted("the client got", told.client):
            assert not told.errors, told.errors
            assert not servers.broken, servers.broken
            check_judged(told, servers.asked)
            for message in check_got(told):
                assert not message.all(b"x-evil")

    try_all(one)
