"""Scenes with clients that ask for much, and mean well; few stay to the end."""

from __future__ import annotations

import contextlib
import socket
import time

from h2.exceptions import ProtocolError
from tests.soak import places
from tests.soak.clients import (
    CUT,
    GONE,
    KEYED_H2,
    WEBSOCKET,
    Actor,
    H2Ear,
    frame_of,
    masked,
)
from tests.soak.servers import TEXT

from proxy.h2_support import asked


class Honest(Actor):
    """Plays them."""

    def small(self) -> None:
        """Requests one after the other, some with a body, some sent before the answer came."""
        host = self.rng.choice((places.API, places.PLAIN))
        ear = self._tunnel(host)
        for _ in range(self.rng.randrange(1, 12)):
            body = TEXT[: self.rng.choice((0, 2, 300, 5000))]
            method = "POST" if body else "GET"
            argument = self.rng.choice((0, 0, 1))
            count = self.rng.choice((1, 1, 1, 3))
            asks = [
                self._ask(ear, "small", argument, host=host, method=method, body=body)
                for _ in range(count)
            ]
            for ask in asks:
                if argument:
                    assert ear.head().status == 103
                said = self._take(ear, ask).body
                if said != b'{"got": %d}' % len(body):
                    self._book.complain("client", f"{ask.mark} was answered {said!r}")
        ask = self._ask(ear, "small", 2, host=host)
        self._take(ear, ask)

    def upload(self) -> None:
        """A body in chunks of any size."""
        ear = self._tunnel()
        sizes = [self.rng.choice((1, 10, 3000, 70_000)) for _ in range(self.rng.randrange(1, 30))]
        more = "Transfer-Encoding: chunked\r\n"
        ask = self._ask(ear, "small", method="POST", more=more)
        for size in sizes:
            ear.send(b"%x\r\n%b\r\n" % (size, b"u" * size))
        ear.send(b"0\r\n\r\n")
        said = self._take(ear, ask).body
        if said != b'{"got": %d}' % sum(sizes):
            self._book.complain("client", f"an upload came as {said!r}")

    def download(self) -> None:
        """Many bytes, read at once or slowly."""
        host = self.rng.choice((places.API, places.PLAIN))
        ear, size = self._tunnel(host), self.rng.choice((200_000, 1_000_000, 3_000_000))
        slow = self.rng.random() < 0.4
        if slow:
            ear.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        ask = self._ask(ear, "down", size, host=host)
        if slow:
            size //= 10
            ask.outcomes = CUT
            while len(ear.buffer) < size:
                assert ear.fill()
                time.sleep(0.003)
            ask.told = True
            self._leave(ear)
        elif len(self._take(ear, ask).body) != size:
            self._book.complain("client", "a download came with another length")

    def events(self) -> None:
        """A stream of events, to its end or not."""
        ear = self._tunnel()
        ask = self._ask(ear, "sse", self.rng.randrange(2, 60))
        if self.rng.random() < 0.5:
            self._take(ear, ask)
            return
        ask.told = ear.head().status == 200
        ear.until(b"\n\n")
        ask.outcomes = CUT
        self._leave(ear)

    def websocket(self) -> None:
        """Messages there and back, with a telling server; ended in one of several ways."""
        ear = self._tunnel()
        tells = self.rng.randrange(2)
        ask = self._ask(ear, "ws", tells, more=WEBSOCKET)
        assert ear.head().status == 101
        ask.told, ask.status, ask.outcomes = True, 101, CUT
        for _ in range(self.rng.randrange(6)):
            payload = TEXT[: self.rng.choice((1, 100, 5000))]
            ear.send(masked(2, payload))
            got = b""
            while len(got) < len(payload):
                opcode, piece = frame_of(ear)
                got += piece if opcode == 2 else b""
        if self.rng.random() < 0.5:
            ear.send(masked(8, b"\x03\xe8"))
            assert ear.is_closed()
        self._leave(ear)

    def telling(self) -> None:
        """An answer in which the secret stands."""
        ear = self._tunnel()
        coding = self.rng.choice(("", "Accept-Encoding: gzip\r\n"))
        for _ in range(3):
            self._take(ear, self._ask(ear, "tell", self.rng.randrange(10**6), more=coding))

    def told_elsewhere(self) -> None:
        """The secret from a server that it is not kept from: a soak must find it."""
        ear = self._tunnel(places.PLAIN)
        self._take(ear, self._ask(ear, "tell", 1, host=places.PLAIN))

    def _h2(self, host: str) -> H2Ear:
        ear = H2Ear(self._tunnel(host, "h2"), client=True)
        ear.book = self._book
        return ear

    def _ask_h2(self, peer: H2Ear, host: str, what: str, argument: int, **named: bool) -> tuple:
        ask, path = self._path(what, argument)
        method = "POST" if not named.get("end", True) else "GET"
        fields = asked(path, method=method, authority=host)
        if host == places.API:
            fields.append(KEYED_H2)
        return ask, peer.ask_with(fields, **named)

    def streams(self) -> None:
        """Several requests at once over HTTP/2, of which some are given up."""
        host = self._somewhere()
        try:
            self._ask_at_once(self._h2(host), host)
        except ProtocolError:  # the server has cut its connection
            if host != places.ONLY_H2:
                raise

    def _ask_at_once(self, peer: H2Ear, host: str) -> None:
        waited = []
        for _ in range(self.rng.randrange(1, 9)):
            what = self.rng.choice(("small", "down", "up", "reset", "tell"))
            if what == "tell" and host != places.API:
                what = "small"
            if what == "up":
                ask, stream = self._ask_h2(peer, host, "small", 0, end=False)
                peer.send(stream, b"u" * self.rng.choice((1, 30_000, 150_000)), end=True)
            else:
                argument = self.rng.randrange(400_000) if what == "down" else 0
                ask, stream = self._ask_h2(peer, host, what, argument)
            if self.rng.random() < 0.15:
                ask.outcomes = CUT
                with contextlib.suppress(ProtocolError):  # it may be over
                    peer.h2.reset_stream(stream, 8)
                    peer.flush()
            else:
                waited.append((ask, stream))
        if self.rng.random() < 0.2:
            self._leave(peer.stream)
            return
        for ask, stream in waited:
            heard = peer.answer(stream)
            sure = host != places.ONLY_H2 and ask.kind != "reset"
            ask.told, ask.outcomes = True, ("forwarded",) if sure else CUT
            if heard.reset is None:
                ask.status = heard.status
            if sure and (heard.reset is not None or heard.status != 200):
                self._book.complain("client", f"{ask.kind} over HTTP/2 got {heard.reset}")

    def translated(self) -> None:
        """HTTP/1.1 to a server that speaks HTTP/2 alone; its connection may be cut by others."""
        host = places.ONLY_H2
        ear = self._tunnel(host)
        for _ in range(self.rng.randrange(1, 5)):
            what, argument = self.rng.choice((("small", 0), ("down", 100_000), ("early", 0)))
            ask = self._ask(ear, what, argument, host=host)
            ask.outcomes = CUT
            try:
                answer = ear.answer()
            except GONE:
                return
            ask.told, ask.status = True, answer.status
