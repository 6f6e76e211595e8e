"""Scenes with clients that go away, ask for what is denied, or meet servers that are no good."""

from __future__ import annotations

import base64
import contextlib
import socket
import time

from tests.soak import places
from tests.soak.clients import CUT, GONE, KEYED, WEBSOCKET, Actor


class Hostile(Actor):
    """Plays them."""

    def deserter(self) -> None:
        """Goes away at some moment before the answer has come."""
        ear = self._tunnel(self.rng.choice((places.API, places.PLAIN)))
        what, argument = self.rng.choice((("small", 0), ("down", 2_000_000), ("stall", 1)))
        ask = self._ask(ear, what, argument, host=ear.sock.server_hostname)
        ask.outcomes = CUT
        time.sleep(self.rng.choice((0, 0.001, 0.02)))
        self._book.asked_nothing(perhaps=True)
        self._leave(ear)

    def half_an_upload(self) -> None:
        """Goes away in the middle of a body, or of a head."""
        ear = self._tunnel()
        if self.rng.random() < 0.3:
            self._book.asked_nothing()
            ear.send(b"POST / HTTP/1.1\r\nHost: api")
        else:
            body = b"u" * self.rng.choice((0, 10, 100_000))
            ask = self._ask(
                ear, "small", method="POST", more="Content-Length: 500000\r\n", body=body
            )
            ask.outcomes = CUT
            self._book.asked_nothing(perhaps=True)
        time.sleep(self.rng.choice((0, 0.01)))
        self._leave(ear)

    def half_a_tunnel(self) -> None:
        """Goes away before anything was asked."""
        if self.rng.random() < 0.3:
            ear = self._dial()
            ear.send(self.rng.choice((b"", b"CONNECT api.op", b"\x16\x03\x01\x02\x00\x01")))
            self._leave(ear)
            return
        number = self._book.number()
        ask = self._book.ask(f"soak{number}.", "empty tunnel")
        ear = self._connect(f"soak{number}.example.com:443")
        ask.told = ear.head().status == 200
        ask.outcomes = ("failed",)
        ear.send(self.rng.choice((b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HT")))
        self._leave(ear)

    def no_hello(self) -> None:
        """Something that begins like TLS and is none."""
        number = 1024 + self._book.number() % 60_000
        if f"{places.PLAIN}:{number}" in self._book.asks:
            return
        ask = self._book.ask(f"{places.PLAIN}:{number}", "no hello")
        ear = self._connect(f"{places.PLAIN}:{number}")
        assert ear.head().status == 200
        ear.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        assert ear.is_closed()
        ask.told, ask.outcomes, ask.status = True, ("refused",), 421

    def half_closed(self) -> None:
        """Says that it has said all, and waits for the answer; with TLS's word for it or not."""
        ear = self._tunnel()
        ask = self._ask(ear, "down", self.rng.choice((10, 300_000)))
        if self.rng.random() < 0.5:
            ear.sock.setblocking(False)
            with contextlib.suppress(OSError):
                ear.sock.unwrap()
            ear.sock.settimeout(places.PATIENCE)
        else:
            ear.sock.shutdown(socket.SHUT_WR)
        ask.outcomes = CUT
        assert ear.is_closed()

    # clients that are refused, and servers that are no good

    def refused(self) -> None:
        """What policy denies, and what is malformed."""
        if self.rng.random() < 0.5:
            ear = self._tunnel(places.DENIED)
            for _ in range(3):
                ask = self._ask(ear, "small", host=places.DENIED)
                self._take(ear, ask, 403, "refused")
        elif self.rng.random() < 0.5:
            ear = self._tunnel()
            self._take(ear, self._ask(ear, "small", host="evil.example"), 421, "refused")
        else:
            ear = self._tunnel()
            both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
            ask = self._ask(ear, "small", method="POST", more=both, body=b"hello")
            self._take(ear, ask, 400, "refused")

    def leak(self) -> None:
        """The placeholder, to a host that its key is not for."""
        ear = self._tunnel(places.PLAIN)
        ask = self._ask(ear, "small", host=places.PLAIN, more=KEYED)
        self._take(ear, ask, 403, "refused")

    def refused_tunnel(self) -> None:
        """A CONNECT to what is no destination, or with a body."""
        number = self._book.number()
        ask = self._book.ask(f"soak{number}.", "CONNECT")
        if self.rng.random() < 0.5:
            ear = self._connect(f"soak{number}..example.com:443")
        else:
            ear = self._connect(f"soak{number}.example.com:443", more="Content-Length: 5\r\n")
        self._take(ear, ask, 400, "refused")

    def stranger(self) -> None:
        """No token, or a wrong one."""
        wrong = base64.b64encode(b"soak:wrong").decode()
        ear = self._connect(f"{places.API}:443", token=self.rng.choice((None, wrong)))
        assert ear.answer().status == 407
        self._book.turned_away()

    def nobody_there(self) -> None:
        """A host where nobody listens."""
        ear = self._tunnel(places.NOWHERE)
        self._take(ear, self._ask(ear, "small", host=places.NOWHERE), 502, "failed")

    def bad_server(self) -> None:
        """A server that resets, ends early, or says what nobody understands."""
        what = self.rng.choice(("reset", "early", "odd"))
        argument = self.rng.randrange(2)
        ear = self._tunnel()
        ask = self._ask(ear, what, argument)
        ask.outcomes = ("failed",)
        try:
            ask.status = ear.answer().status
        except GONE:
            pass

    def silent_server(self) -> None:
        """A server that says nothing more."""
        ear = self._tunnel()
        argument = self.rng.randrange(2)
        ask = self._ask(ear, "stall", argument)
        ask.outcomes = ("failed",)
        if argument:
            assert ear.is_closed()
        else:
            self._take(ear, ask, 504, "failed")

    # policy

    def cut_off(self) -> None:
        """A host is denied while a WebSocket and a stream to it are open, and allowed again."""
        with self._field.shut:
            chat, stream = self._tunnel(places.SHUT), self._tunnel(places.SHUT)
            talk = self._ask(chat, "ws", host=places.SHUT, more=WEBSOCKET)
            said = self._ask(stream, "sse", 10_000, host=places.SHUT)
            assert chat.head().status == 101
            assert stream.head().status == 200
            for ask in (talk, said):
                ask.told, ask.outcomes = True, ("failed",)
            self._field.command(f"deny {places.SHUT}")
            try:
                for ear in (chat, stream):
                    if not ear.is_closed():
                        self._book.complain("policy", "a denial left a connection open")
                ear = self._tunnel(places.SHUT)
                ask = self._ask(ear, "small", host=places.SHUT)
                self._take(ear, ask, 403, "refused")
            finally:
                self._field.command("allow")
            self._take(ear, self._ask(ear, "small", host=places.SHUT))
