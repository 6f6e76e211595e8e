"""The upstreams of a soak: they do what the path says, which often is no good."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import random
import re
import socket
import ssl
import threading
import time

from h2.exceptions import ProtocolError
from tests.soak import places
from tests.soak.book import Book, spellings

from moat.engine.frames import FramePayloads
from moat.pki.leaf import LeafCache
from proxy.h2_support import H2Server, Heard, Peer, reply
from proxy.support import Stream

_PATH = re.compile(r"/s/(\d+)/([a-z]+)/(\d+)")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT = base64.b64encode(hashlib.shake_128(b"text without a secret").digest(49152))  # 64 KiB
_MOST_STREAMS = 150


def telling(seed: int) -> bytes:
    """A text that tells the secret, in some of its spellings and among others."""
    rng = random.Random(seed)
    parts = []
    for name in rng.sample(sorted(spellings(places.KEY)), 4):
        parts += [TEXT[: rng.randrange(3000)], b' "', spellings(places.KEY)[name], b'" ']
    return b"".join(parts)


def in_pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """The same bytes, cut anywhere."""
    found = []
    while data:
        size = rng.choice((1, 7, 60, 700, 9000))
        found.append(data[:size])
        data = data[size:]
    return found


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame of WebSocket, as servers send it."""
    size = len(payload)
    head = bytes((0x80 | opcode, size)) if size < 126 else b"%c~" % (0x80 | opcode)
    return head + (b"" if size < 126 else size.to_bytes(2, "big")) + payload


class Upstream:
    """Speaks HTTP/1.1 over TLS on loopback, with a thread for each connection."""

    def __init__(self, leaves: LeafCache, book: Book) -> None:
        self._book = book
        self._context = leaves.context_for(places.API)
        self._context.set_alpn_protocols(["http/1.1"])

        def choose(sock: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> None:
            chosen = leaves.context_for(name or places.API)
            chosen.set_alpn_protocols(["http/1.1"])
            sock.context = chosen

        self._context.sni_callback = choose
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """End every connection."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(sock,), daemon=True).start()

    def _meet(self, plain: socket.socket) -> None:
        plain.settimeout(places.PATIENCE)
        try:
            sock = self._context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        except OSError:
            plain.close()
            return
        with self._lock:
            self._open.add(sock)
        try:
            _Served(Stream(sock), self._book).run()
        # What the other side has cut ends as it must: here, and not with a complaint.
        except (OSError, AssertionError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


class _Served:
    """One connection."""

    def __init__(self, stream: Stream, book: Book) -> None:
        stream.sock.settimeout(places.PATIENCE)
        self._stream = stream
        self._book = book

    def run(self) -> None:
        """Answer until it ends."""
        stream = self._stream
        while raw := stream.until(b"\r\n\r\n"):
            head = raw.decode("latin-1").lower()
            self._book.reached(head.partition(" ")[2].partition(" ")[0])
            path = _PATH.search(head)
            assert path is not None
            number, what, argument = int(path[1]), path[2], int(path[3])
            if not getattr(self, f"_{what}")(head, random.Random(number), argument):
                return

    def _body(self, head: str) -> int:
        """Read what follows a head; its size."""
        if "transfer-encoding: chunked" in head:
            size = 0
            while count := int(self._stream.until(b"\r\n").split(b";")[0], 16):
                self._stream.exactly(count + 2)
                size += count
            while self._stream.until(b"\r\n") != b"\r\n":
                pass
            return size
        found = re.search(r"content-length: (\d+)", head)
        size = int(found[1]) if found else 0
        self._stream.exactly(size)
        return size

    def _answer(self, body: bytes, more: str = "", status: str = "200 OK") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self._stream.send(head.encode() + body)

    def _chunked(self, pieces: list[bytes], more: str = "") -> None:
        self._stream.send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{more}\r\n".encode())
        for piece in pieces:
            self._stream.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        self._stream.send(b"0\r\n\r\n")

    def _small(self, head: str, rng: random.Random, argument: int) -> bool:
        size = self._body(head)
        if argument == 1:  # with a word before
            self._stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        self._answer(b'{"got": %d}' % size, "Connection: close\r\n" if argument == 2 else "")
        return argument != 2

    def _down(self, head: str, rng: random.Random, argument: int) -> bool:
        body = (TEXT * (argument // len(TEXT) + 1))[:argument]
        if rng.random() < 0.5:
            self._answer(body)
        else:
            self._chunked(in_pieces(rng, body))
        return True

    def _sse(self, head: str, rng: random.Random, argument: int) -> bool:
        self._stream.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(argument):
            event = b'data: {"delta":" word","number":%d}\n\n' % number
            self._stream.send(b"%x\r\n%b\r\n" % (len(event), event))
            time.sleep(0.01)
        self._stream.send(b"0\r\n\r\n")
        return True

    def _tell(self, head: str, rng: random.Random, argument: int) -> bool:
        self._body(head)
        body, more = telling(argument), f"X-Told: a{places.KEY}\r\n"
        if "gzip" in head and rng.random() < 0.5:
            body, more = gzip.compress(body, 1), more + "Content-Encoding: gzip\r\n"
        if rng.random() < 0.5:
            self._answer(body, more, f"200 {places.KEY}")
        else:
            self._chunked(in_pieces(rng, body), more)
        return True

    def _ws(self, head: str, rng: random.Random, argument: int) -> bool:
        asked = re.search(r"sec-websocket-key: (\S+)", head)
        assert asked is not None  # the key of a soak has no letters that are not small
        accept = base64.b64encode(hashlib.sha1(asked[1].encode() + _GUID).digest())
        self._stream.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        payloads = FramePayloads()
        while self._stream.fill():
            data = self._stream.take(len(self._stream.buffer))
            for opcode, piece in payloads.feed(data):
                if opcode == 8:
                    self._stream.send(frame(8, piece))
                    return False
                self._stream.send(frame(2, piece))
                if argument:
                    self._stream.send(frame(9, b"ping"))
                    for part in in_pieces(rng, frame(1, places.KEY.encode() + b" is the key")):
                        self._stream.send(part)
        return False

    def _reset(self, head: str, rng: random.Random, argument: int) -> bool:
        if argument:
            self._stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + TEXT[:30000])
        Stream.reset(self._stream)
        return False

    def _early(self, head: str, rng: random.Random, argument: int) -> bool:
        whole = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
            + TEXT[:5000]
            + b" "
            + (places.KEY.encode()[:30])
        )
        self._stream.send(whole[: rng.randrange(len(whole)) + 1] if argument else whole)
        return False

    def _stall(self, head: str, rng: random.Random, argument: int) -> bool:
        if argument:
            self._stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + TEXT[:100])
        while self._stream.fill():
            pass
        return False

    def _odd(self, head: str, rng: random.Random, argument: int) -> bool:
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"
        self._stream.send(rng.choice((said, b"HTTP/1.1 2 OK\r\n\r\n", b"\0" * 70_000)))
        return False


class OnlyH2(H2Server):
    """Speaks HTTP/2 alone; after so many streams it goes away, as servers do."""

    def __init__(self, context: ssl.SSLContext, book: Book) -> None:
        self._book = book
        super().__init__(context)
        self.respond = self._answer
        self.go_on = self._count

    def hang_up(self) -> None:
        """End every connection."""
        for stream in list(self._streams):
            with contextlib.suppress(OSError):
                stream.sock.shutdown(socket.SHUT_RDWR)

    def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ProtocolError):
            super()._run(sock)
        # What the other side has cut is no error here; nor is there need to remember anything.
        for kept in (self.errors, self.asked, self.whole, self.peers):
            kept.clear()
        self._streams = [stream for stream in self._streams if stream.sock.fileno() >= 0]
        self._threads = [self._threads[0], *[one for one in self._threads[1:] if one.is_alive()]]

    def _count(self, peer: Peer) -> None:
        if len(peer.streams) > _MOST_STREAMS:
            peer.h2.close_connection()
            peer.flush()
            raise ConnectionResetError("enough")

    def _answer(self, peer: Peer, number: int, heard: Heard) -> None:
        path = heard.heads[0][[name for name, _ in heard.heads[0]].index(b":path")][1].decode()
        self._book.reached(path)
        found = _PATH.search(path)
        assert found is not None
        what, argument = found[2], int(found[3])
        if what == "down":
            reply(peer, number, (TEXT * (argument // len(TEXT) + 1))[:argument])
        elif what == "reset":
            with peer.lock:
                peer.h2.reset_stream(number, 2)
            peer.flush()
        elif what == "early":
            raise ConnectionResetError("the connection is cut, with all its streams")
        else:
            reply(peer, number, b'{"got": %d}' % len(heard.data))
