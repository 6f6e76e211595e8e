"""The resolver of a box: answers out of a table, and asks nobody.

It serves sockets that listen inside the box's network: datagrams, and connections for clients that
insist on them (RFC 7766).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import cast

from moat.core.hosts import Destination
from moat.engine.dns import MAX_MESSAGE, parse_query, render_answer
from moat.engine.exchange import Entry, Measured
from moat.engine.messages import Request
from moat.engine.names import Names
from moat.errors import RecordError
from moat.proxy.interface import Handed

# Datagrams answered before everybody else has a turn.
_AT_ONCE = 32
_CONNECTIONS = 16
_CONNECTION_SECONDS = 10.0
_CONNECTION_QUESTIONS = 64
# A hostile box may ask for any number of names; this many of those it may not have are recorded.
_RECORDED = 256


class Resolver:
    """Answers questions for names; those that policy refuses are in the trace, each once."""

    def __init__(self, handed: Handed, names: Names) -> None:
        self._handed = handed
        self._names = names
        self._recorded: set[str] = set()
        self._datagrams: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def serve(self, datagrams: socket.socket, listener: socket.socket) -> None:
        """Answer what comes by a UDP socket, and by connections to a listening TCP one."""
        loop = asyncio.get_running_loop()
        datagrams.setblocking(False)
        self._datagrams = datagrams
        loop.add_reader(datagrams, self._read, datagrams)
        self._server = await loop.create_server(lambda: _Connection(self), sock=listener)

    def close(self) -> None:
        """Answer nobody any more."""
        if self._datagrams is not None:
            asyncio.get_running_loop().remove_reader(self._datagrams)
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def answer(self, message: bytes) -> bytes | None:
        """The answer to a message; None if it deserves none."""
        try:
            query = parse_query(message)
        except ValueError:
            return None
        answer = self._names.answer(query, self._handed.session.policy)
        if answer.refused is not None:
            self._record(answer.refused)
        return render_answer(query, answer.code, answer.address, seconds=answer.seconds)

    def _read(self, datagrams: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                message, client = datagrams.recvfrom(MAX_MESSAGE + 1)
            except OSError:
                return
            answer = self.answer(message)
            if answer is not None:
                with contextlib.suppress(OSError):  # who asks on and on may miss an answer
                    datagrams.sendto(answer, client)

    def _record(self, host: str) -> None:
        """A person wants to know what was asked for and not allowed; as a name, for more was not
        said."""
        if host in self._recorded or len(self._recorded) >= _RECORDED:
            return
        asked = Request("DNS", Destination("https", host, 443), "/", ())
        verdict = self._handed.session.policy.decide(asked)
        if verdict.action != "deny":
            return  # a name of this place alone, where every other resolves
        self._recorded.add(host)
        entry = Entry("DNS", f"dns://{host}", verdict, "refused", error=verdict.reason)
        measured = Measured(started=time.time(), duration=0.0)
        with contextlib.suppress(RecordError):  # the name stays refused; the ledger says so itself
            self._handed.recorder.record(self._handed.next_number(), entry, measured)


class _Connection(asyncio.Protocol):
    """Questions one after the other, each with its length before it."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._buffer = b""
        self._questions = 0
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, if there is room."""
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_CONNECTION_SECONDS, self.abort)
        self._resolver._connections.add(self)
        if len(self._resolver._connections) > _CONNECTIONS:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Answer every question that has come whole."""
        self._buffer += data
        position = 0
        while len(self._buffer) >= position + 2:
            start = position + 2
            end = start + int.from_bytes(self._buffer[position:start], "big")
            if end - start > MAX_MESSAGE or self._questions == _CONNECTION_QUESTIONS:
                return self.abort()
            if len(self._buffer) < end:
                break
            answer = self._resolver.answer(self._buffer[start:end])
            if answer is None:
                return self.abort()
            self._transport.write(len(answer).to_bytes(2, "big") + answer)
            self._questions += 1
            position = end
        self._buffer = self._buffer[position:]
        return None

    def connection_lost(self, _: Exception | None) -> None:
        """Make room."""
        self._timer.cancel()
        self._resolver._connections.discard(self)

    def abort(self) -> None:
        """Hang up."""
        self._transport.abort()
