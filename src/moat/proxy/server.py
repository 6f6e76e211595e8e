"""Meets the clients: one task a connection, requests in their order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from functools import partial
from math import inf
from typing import cast

from moat import log
from moat.core.hosts import Destination, Scheme, parse_host_port
from moat.engine.exchange import Entry, Measured, Outcome
from moat.engine.names import Names
from moat.engine.paths import canonical_target
from moat.engine.problem import Problem
from moat.errors import RecordError
from moat.proxy import h1
from moat.proxy.answers import write_problem
from moat.proxy.direct import ALERT, DirectWire
from moat.proxy.driver import Play
from moat.proxy.h1 import BadMessage, RequestHead
from moat.proxy.h1_client import H1Client
from moat.proxy.interface import Handed
from moat.proxy.token import shows
from moat.proxy.wire import Wire, WireClosed

HEAD_TIMEOUT = 60.0  # from the first byte of a connection to a whole head: slowloris ends here
STRANGER_TIMEOUT = 5.0  # the same for who has yet to show a token
HANDSHAKE_TIMEOUT = 30.0
IDLE_TIMEOUT = 600.0  # between requests of one connection
# What one run may hold open at once: a hostile one must not take the host's memory.
MAX_CLIENTS = 512
_TLS_HELLO = 0x16  # RFC 8446 section 5.1: a handshake record
_H2_HELLO = b"PRI * HTTP/2.0\r\n"  # RFC 9113 section 3.4, as far as it is like a request


class ProxyServer:
    """Listens on sockets it is given, and serves what connects to them."""

    def __init__(self, handed: Handed) -> None:
        self._handed = handed
        self._servers: list[asyncio.Server] = []
        self._tasks: dict[Wire, asyncio.Task[None]] = {}

    async def listen(self, listener: socket.socket, names: Names | None = None) -> None:
        """Serve a listening socket; with names, clients that know no proxy and were given those."""
        loop = asyncio.get_running_loop()
        meet = partial(self._meet, names)
        self._servers.append(await loop.create_server(meet, sock=listener))

    async def close(self) -> None:
        """Stop listening, end every connection, and wait until they are recorded."""
        for server in self._servers:
            server.close()
        # Whoever was just let in: a task that is cancelled before it starts cleans nothing up.
        await asyncio.sleep(0)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._handed.upstreams.close()
        await self._handed.upstreams.wait_closed()

    def session_changed(self) -> None:
        """End whatever is going on that the policy of now refuses."""
        self._handed.live.judge_all()

    def _meet(self, names: Names | None) -> asyncio.Protocol:
        if len(self._tasks) >= MAX_CLIENTS:
            return _TurnedAway()
        lost = self._client_lost
        wire = Wire(on_lost=lost) if names is None else DirectWire(names, on_lost=lost)
        task = asyncio.get_running_loop().create_task(self._serve(wire))
        self._tasks[wire] = task
        task.add_done_callback(lambda _: self._tasks.pop(wire, None))
        return wire

    def _client_lost(self, wire: Wire) -> None:
        task = self._tasks.get(wire)
        if task is not None:
            task.cancel()

    async def _serve(self, client: Wire) -> None:
        try:
            await Conversation(self._handed, client).run()
            await client.finish()
        except (WireClosed, asyncio.CancelledError, TimeoutError):
            client.abort()
        except Exception:
            log.get(__name__).exception("a connection of the box failed")
            client.abort()


class _TurnedAway(asyncio.Protocol):
    """A client too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class Conversation:
    """The requests of one client connection, one after the other."""

    def __init__(self, handed: Handed, client: Wire) -> None:
        self._handed = handed
        self._client = client
        self._fixed: Destination | None = None  # what the tunnel was opened for
        self._host: bytes | None = None  # a spelling of it that was found right
        self._head: RequestHead | None = None  # what is being read or served
        # Whether it is one of those who may ask; else little is written down of it.
        self._known = handed.token is None or isinstance(client, DirectWire)
        # How and for what a tunnel was asked, until something is recorded.
        self._asked: tuple[str, str] | None = None
        self._deadline = inf  # when the client must have said something
        self._now = asyncio.get_running_loop().time
        self._task = asyncio.current_task()

    async def run(self) -> None:
        """Serve until the client has had enough, or must go; nothing it asks goes unrecorded."""
        self._handed.live.add(self)
        try:
            await self._converse()
        finally:
            self._handed.live.discard(self)
            if self._asked is not None:
                with contextlib.suppress(RecordError):  # the ledger says so itself
                    self._note(*self._asked, None, "no request came through the tunnel")

    async def _converse(self) -> None:
        try:
            if isinstance(self._client, DirectWire):
                if not await self._arrive(self._client):
                    return
                head = await self._begin()
            else:
                head = await self._next_head()
                if head is not None and head.method == "CONNECT":
                    if not await self._open_tunnel(head):
                        return
                    head = await self._begin()
            while head is not None:
                if not await self._serve_one(head):
                    return
                head = await self._wait_for_head()
        except BadMessage as error:
            self._refuse(error)

    async def _next_head(self) -> RequestHead | None:
        self._head = None
        raw = h1.find_head(self._client)
        if raw is None:
            strange = self._handed.token is not None and self._fixed is None
            self._deadline = self._now() + (STRANGER_TIMEOUT if strange else HEAD_TIMEOUT)
            raw = await h1.read_head(self._client)
            self._deadline = inf
        if raw is not None:
            self._head = h1.parse_request(raw)
            self._demand_token(self._head)
        return self._head

    def _demand_token(self, head: RequestHead) -> None:
        """Refuse whoever asks the proxy itself without its token. Raises BadMessage.

        What comes through a tunnel was let in with it; what meant another address is a box's.
        """
        token = self._handed.token
        if token is None or self._fixed is not None or isinstance(self._client, DirectWire):
            return
        self._known = shows(head.all(b"proxy-authorization"), token)
        if not self._known:
            raise BadMessage("the request does not show the token of this proxy", status=407)

    async def _wait_for_head(self) -> RequestHead | None:
        if self._client.full:
            await self._client.drain()  # who asks on and on must also read
        if not self._client.buffer and not await self._wait():
            return None
        return await self._next_head()

    async def _wait(self) -> bool:
        """Wait for the first bytes of a request; False when none come."""
        self._deadline = self._now() + IDLE_TIMEOUT
        try:
            return await self._client.fill()
        except TimeoutError:
            return False
        finally:
            self._deadline = inf

    async def _begin(self) -> RequestHead | None:
        """The first head behind a handshake; None when there is none, or HTTP/2 was spoken."""
        client, fixed = self._client, self._fixed
        if fixed is None or fixed.scheme != "https":
            return await self._wait_for_head()
        if client.alpn != "h2":
            if not client.buffer and not await self._wait():
                return None
            # Some speak HTTP/2 and nothing else, whatever was agreed on.
            if not client.buffer.startswith(_H2_HELLO):
                return await self._next_head()
        from moat.proxy.h2_client import H2Conversation

        await H2Conversation(
            self._handed,
            client,
            fixed,
            place=self._place_stream,
            note=self._note,
            head_timeout=HEAD_TIMEOUT,
            idle_timeout=IDLE_TIMEOUT,
        ).run()
        return None

    def _place_stream(self, head: RequestHead) -> tuple[Destination, str]:
        """Where a request over HTTP/2 goes. Raises BadMessage."""
        place = self._place(head)
        self._asked = None
        return place

    def check(self, now: float) -> None:
        """Wait no longer for a client that was given its time."""
        if now > self._deadline:
            self._client.expire()

    def judge(self) -> None:
        """A connection between two requests is nothing that could be refused."""

    async def _open_tunnel(self, head: RequestHead) -> bool:
        """Answer a CONNECT. A denied destination is met too: its refusal is then readable."""
        try:
            destination = Destination("https", *parse_host_port(head.target))
        except ValueError as error:
            raise BadMessage(f"the destination is refused: {error}") from error
        if h1.request_framing(head) != h1.NO_BODY:
            raise BadMessage("a CONNECT with a body")
        self._asked = head.method, str(destination)
        self._client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            if not self._client.buffer and not await self._client.fill():
                return False
            if self._client.buffer[0] == _TLS_HELLO:
                return await self._secure(destination, *self._asked)
        self._fixed = Destination("http", destination.host, destination.port)
        return True

    async def _arrive(self, client: DirectWire) -> bool:
        """Begin with a client that knows no proxy. By TLS, where it goes is said before its first
        request; in the clear, in it."""
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            if not client.buffer and not await client.fill():
                return False
            if client.buffer[0] != _TLS_HELLO:
                return True
            try:
                destination = await client.by_hello()
            except ValueError as error:
                self._note("TLS", client.place, 421, f"TLS failed: {error}")
                client.write(ALERT)
                return False
            self._asked = "TLS", str(destination)
            return await self._secure(destination, *self._asked)

    async def _secure(self, destination: Destination, method: str, url: str) -> bool:
        """Shake hands in the name of a destination, to which the connection then goes."""
        context = self._handed.leaves.context_for(destination.host)
        try:
            await self._client.start_tls(context, server_side=True)
        except ssl.SSLError as error:
            self._note(method, url, 421, f"TLS failed: {error.reason}")
            return False
        self._fixed = destination
        return True

    async def _serve_one(self, head: RequestHead) -> bool:
        if head.version != b"1.1":
            raise BadMessage("HTTP/1.0 is not spoken here", status=505)
        destination, target = self._place(head)
        self._asked = None
        client = H1Client(self._client, head, destination, target)
        await Play(self._handed, client, self._task).run()
        return client.fit

    def _place(self, head: RequestHead) -> tuple[Destination, str]:
        """Where a request goes, on which its target, its Host and its tunnel must agree."""
        if head.method == "CONNECT":
            raise BadMessage("a CONNECT inside a connection that is in use", status=421)
        if self._fixed is None and isinstance(self._client, DirectWire):
            self._fixed = self._client.by_host(_named(head, "http"))
        if self._fixed is not None:
            destination, target = self._fixed, head.target
        else:
            destination, target = _split_absolute(head.target)
        if "#" in target:
            raise BadMessage("the request target has a fragment")
        if not target.startswith("/") and not (target == "*" and head.method == "OPTIONS"):
            raise BadMessage("the request target is not a path")
        try:
            target = canonical_target(target)  # one spelling, judged and sent
        except ValueError as error:
            raise BadMessage(f"the request target is refused: {error}") from error
        hosts = head.said.get(b"host")
        if hosts and len(hosts) == 1 and hosts[0] == self._host and self._fixed is not None:
            return destination, target
        named = _named(head, destination.scheme)
        if named != destination:
            raise BadMessage(
                f"the Host header says {named.authority}, the connection {destination.authority}",
                status=421,
            )
        self._host = head.all(b"host")[0]
        return destination, target

    def _refuse(self, error: BadMessage) -> None:
        status, reason = error.status, error.reason
        try:
            self._note(self._head.method if self._head else "-", self._url(), status, reason)
        except RecordError as failure:
            status, reason = 503, failure.message
        kind = "token-wanted" if status == 407 else "bad-request"
        problem = Problem(status=status, kind=kind, detail=f"Moat refused a request: {reason}")
        if self._known:  # who has shown no token is told nothing of the run
            problem = problem.about(self._handed.session.run, self._fixed)
        if not self._client.lost:
            write_problem(self._client, problem)

    def _url(self) -> str:
        """What was asked for, as far as it can be told."""
        if self._head is None:
            return str(self._fixed or "-")
        if self._fixed is None:
            return self._head.target
        return f"{self._fixed}{self._head.target if self._head.target.startswith('/') else ''}"

    def _note(self, method: str, url: str, status: int | None, error: str) -> None:
        """Record what never became an exchange. Raises RecordError."""
        self._asked = None
        handed = self._handed
        if self._known:
            number = handed.next_number()
        elif row := handed.strangers.next_row(handed.next_number, error):
            number, error = row
        else:
            return
        outcome: Outcome = "failed" if status is None else "refused"
        entry = Entry(method, url, None, outcome, status, error=error)
        handed.recorder.record(number, entry, Measured(started=time.time(), duration=0.0))


def _named(head: RequestHead, scheme: Scheme) -> Destination:
    """What the Host header of a request names."""
    hosts = head.all(b"host")
    if len(hosts) != 1:
        raise BadMessage("not exactly one Host header")
    try:
        return Destination.parse(scheme, hosts[0].decode("ascii"))
    except ValueError as error:
        raise BadMessage(f"the Host header is refused: {error}") from error


def _split_absolute(target: str) -> tuple[Destination, str]:
    scheme, mark, rest = target.partition("://")
    if not mark:
        raise BadMessage("this is a proxy: it wants a whole URL, or CONNECT")
    if scheme.lower() != "http":
        raise BadMessage("https goes through CONNECT")
    cut = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    authority, path = rest[:cut], rest[cut:]
    try:
        destination = Destination.parse("http", authority)
    except ValueError as error:
        raise BadMessage(f"the destination is refused: {error}") from error
    return destination, path if path.startswith("/") else "/" + path
