"""Both ends of HTTP/2 as plain blocking peers, over real TLS: a client that can misbehave, and a
server that is strict."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame

from moat.pki.ca import Authority
from moat.pki.leaf import LeafCache
from proxy.support import API, PATIENCE, Server, Stream, World

Pairs = list[tuple[bytes, bytes]]
# A fatal alert: no application protocol (RFC 7301 section 3.2).
_NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
_LOOSE = {
    "validate_outbound_headers": False,
    "normalize_outbound_headers": False,
    "normalize_inbound_headers": False,
}


@dataclass
class Heard:
    """What came on one stream."""

    heads: list[Pairs] = field(default_factory=list)
    data: bytes = b""
    trailers: Pairs = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The fields of the last head."""
        return dict(self.heads[-1])

    @property
    def status(self) -> int:
        """The status of the last head."""
        return int(self.headers[b":status"])

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended or self.reset is not None


class Peer:
    """One end of a connection. `window` is what it lets the other send on a stream."""

    def __init__(
        self,
        stream: Stream,
        *,
        client: bool,
        settings: dict[SettingCodes, int] | None = None,
        window: int = 2**24,
        strict: bool = False,
    ) -> None:
        self.stream = stream
        self.streams: dict[int, Heard] = {}
        self.goaway: int | None = None
        self.pings = 0
        self.acknowledging = True
        self.lock = threading.RLock()
        loose = {} if strict else _LOOSE
        self.h2 = H2Connection(H2Configuration(client_side=client, header_encoding=None, **loose))
        self.h2.local_settings = Settings(
            client=client,
            initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window, **(settings or {})},
        )
        self.h2.initiate_connection()
        if window > 65535:
            self.h2.increment_flow_control_window(window - 65535)
        self.flush()

    def flush(self) -> None:
        """Send what is to be sent."""
        with self.lock:
            if data := self.h2.data_to_send():
                self.stream.send(data)

    def raw(self, *frames: Frame) -> None:
        """Send frames as they are."""
        self.flush()
        self.stream.send(b"".join(frame.serialize() for frame in frames))

    def pump(self) -> bool:
        """Take in what comes next; False at the end of the connection."""
        if not self.stream.buffer and not self.stream.fill():
            return False
        data = self.stream.take(len(self.stream.buffer))
        with self.lock:
            for event in self.h2.receive_data(data):
                self.take(event)
        self.flush()
        return True

    def take(self, event: events.Event) -> None:
        """Note one event."""
        number = getattr(event, "stream_id", None)
        heard = self.streams.setdefault(number, Heard()) if number else Heard()
        match event:
            case events.DataReceived():
                heard.data += event.data
                if self.acknowledging:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, number)
            case events.TrailersReceived():
                heard.trailers = list(event.headers)
            case events.StreamEnded():
                heard.ended = True
            case events.StreamReset():
                heard.reset = int(event.error_code)
            case events.ConnectionTerminated():
                self.goaway = int(event.error_code)
            case events.PingAckReceived():
                self.pings += 1
            case (
                events.RequestReceived()
                | events.ResponseReceived()
                | events.InformationalResponseReceived()
            ):
                heard.heads.append(list(event.headers))

    def until(self, condition: Callable[[], Any]) -> None:
        """Take in what comes until something holds."""
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit
            assert self.pump(), f"ended too early: {self.streams} {self.goaway}"

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send data, as fast as the windows allow."""
        while data:
            with self.lock:
                room = min(
                    self.h2.local_flow_control_window(number),
                    self.h2.max_outbound_frame_size,
                    len(data),
                )
                if room > 0:
                    part, data = data[:room], data[room:]
                    self.h2.send_data(number, part, end_stream=end and not data)
            if room > 0:
                self.flush()
            else:
                assert self.pump()

    def end(self, number: int, trailers: Pairs | None = None) -> None:
        """Say that nothing more follows."""
        with self.lock:
            if trailers:
                self.h2.send_headers(number, trailers, end_stream=True)
            else:
                self.h2.end_stream(number)
        self.flush()

    # as a client

    def ask(
        self,
        path: str = "/",
        *more: tuple[bytes, bytes],
        method: str = "GET",
        authority: str = API,
        end: bool = True,
    ) -> int:
        """Send the head of a request; its stream."""
        fields = [*asked(path, method=method, authority=authority), *more]
        return self.ask_with(fields, end=end)

    def ask_with(self, fields: Pairs, *, end: bool = True) -> int:
        """Send exactly these fields; their stream."""
        with self.lock:
            number = self.h2.get_next_available_stream_id()
            self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        return number

    def answer(self, number: int) -> Heard:
        """The whole answer on a stream."""
        self.until(lambda: number in self.streams and self.streams[number].over)
        return self.streams[number]

    def get(self, path: str = "/", *more: tuple[bytes, bytes], **named: Any) -> Heard:
        """Ask, and take the answer."""
        return self.answer(self.ask(path, *more, **named))

    def answer_to(self, fields: Pairs) -> Heard:
        """Send exactly these fields, which are not all; take the answer."""
        return self.answer(self.ask_with(fields, end=False))

    def head(self, number: int, heads: int = 1) -> Heard:
        """The answer on a stream, as far as its head."""
        self.until(lambda: number in self.streams and len(self.streams[number].heads) >= heads)
        return self.streams[number]

    def is_ended(self) -> bool:
        """Whether the other end closes the connection."""
        try:
            while self.pump():
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def asked(path: str = "/", *, method: str = "GET", authority: str = API) -> Pairs:
    """The pseudo-headers of a request."""
    return [
        (b":method", method.encode()),
        (b":scheme", b"https"),
        (b":authority", authority.encode()),
        (b":path", path.encode()),
    ]


def client(world: World, authority: str = f"{API}:443", **named: Any) -> Peer:
    """A client that speaks nothing but HTTP/2, in a tunnel."""
    tunnel = world.tunnel(authority, alpn=("h2",))
    assert tunnel.sock.selected_alpn_protocol() == "h2"
    return Peer(tunnel, client=True, **named)


def server_context(authority: Authority, *alpn: str) -> ssl.SSLContext:
    """How a server of the world meets its clients, by name, with what it speaks."""
    leaves = LeafCache(authority)
    context = leaves.context_for(API)

    def choose(sock: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> int | None:
        sock.context = leaves.context_for(name or API)
        sock.context.set_alpn_protocols(list(alpn))
        return None

    context.sni_callback = choose
    context.set_alpn_protocols(list(alpn))
    return context


Respond = Callable[[Peer, int, Heard], None]


def answer_ok(peer: Peer, number: int, heard: Heard) -> None:
    """Answer with 200."""
    reply(peer, number, b"ok")


def reply(
    peer: Peer, number: int, data: bytes = b"", *more: tuple[bytes, bytes], status: int = 200
) -> None:
    """Answer with a body of a stated length."""
    length = (b"content-length", b"%d" % len(data))
    with peer.lock:
        peer.h2.send_headers(number, [(b":status", b"%d" % status), length, *more])
    peer.send(number, data)
    peer.end(number)


class H2Server(Server):
    """A server that speaks HTTP/2 alone, each request answered by `respond` once it is whole.

    With `early`, it is called as soon as the head has come; `go_on` whenever something has. `asked`
    holds the heads that came, `settings` what it says of itself. It `turns_away` who offers no
    HTTP/2.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.respond: Respond = answer_ok
        self.early = False
        self.turns_away = True
        self.go_on: Callable[[Peer], None] = lambda peer: None
        self.settings: dict[SettingCodes, int] = {}
        self.window = 2**20
        self.asked: list[Pairs] = []
        self.whole: list[Heard] = []
        self.peers: list[Peer] = []
        super().__init__(context)
        self.script = self.speak

    def _run(self, sock: socket.socket) -> None:
        hello = sock.recv(65536, socket.MSG_PEEK)
        if self.turns_away and hello and b"\x02h2" not in hello:
            sock.recv(65536)
            sock.sendall(_NO_PROTOCOL)
            sock.close()
        else:
            super()._run(sock)

    def speak(self, stream: Stream) -> None:
        """Serve one connection."""
        peer = Peer(stream, client=False, settings=self.settings, window=self.window, strict=True)
        self.peers.append(peer)
        begun: set[int] = set()
        while peer.pump():
            for number, heard in list(peer.streams.items()):
                if heard.heads and number not in begun and (heard.ended or self.early):
                    begun.add(number)
                    self.heard = True
                    self.asked.append(heard.heads[0])
                    self.whole.append(heard)
                    self.respond(peer, number, heard)
            self.go_on(peer)
            peer.flush()

    def of(self, name: bytes) -> Iterable[list[bytes]]:
        """The values of a header, request by request."""
        return [[value for key, value in fields if key == name] for fields in self.asked]

    def table(self) -> dict[bytes, bytes]:
        """What the compression of the headers that came remembers."""
        return dict(self.peers[0].h2.decoder.header_table.dynamic_entries)
