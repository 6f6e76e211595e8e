"""Connections to upstream servers: resolved once, checked, dialled, verified, and pooled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from moat.core.addresses import is_public
from moat.core.hosts import Destination, is_address
from moat.engine.problem import Problem
from moat.errors import MoatError
from moat.proxy.h1_upstream import H1Upstream
from moat.proxy.sides import UpstreamSide
from moat.proxy.wire import Wire, WireClosed

if TYPE_CHECKING:
    from moat.proxy.h2_pool import H2Pool
    from moat.proxy.h2_upstream import UpstreamLink

CONNECT_TIMEOUT = 15.0  # in all: name, address after address, TLS
ATTEMPT_TIMEOUT = 5.0  # for one address of several
# Servers close idle connections after a minute or so; one that is near that is not risked.
IDLE_SECONDS = 30.0
IDLE_CONNECTIONS = 128
# Of all destinations together: each takes a descriptor.
MOST_IDLE = 256

_H1 = ("http/1.1",)
# What a server says that speaks nothing it was offered (RFC 7301 section 3.2).
_ALERT = "no application protocol"
_MOST_REMEMBERED = 1024

HostPort = tuple[str, int]
T = TypeVar("T")


class UpstreamError(Exception):
    """An upstream could not be reached as it must be; `problem` is what the client is told."""

    def __init__(self, kind: str, detail: str, *, status: int = 502) -> None:
        super().__init__(detail)
        self.problem = Problem(status=status, kind=kind, detail=detail)


class _NotSpoken(Exception):
    """An upstream does not speak HTTP/1.1."""


class Upstreams:
    """Makes connections, and keeps the idle ones of one run.

    `context` makes the TLS context, once, when it is first needed: loading the system's roots
    takes longer than starting a box, and many runs never open a connection. `connect_to` names
    where to dial instead of a destination's own address: the user's word, so the address it names
    is not judged; name, SNI and certificate check stay.
    """

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        *,
        connect_to: Mapping[HostPort, HostPort] | None = None,
    ) -> None:
        self._context = context
        self._connect_to = dict(connect_to or {})
        self._idle: dict[Destination, list[tuple[Wire, float]]] = {}
        self._kept = 0  # how many those are
        self._sweep: asyncio.TimerHandle | None = None
        self._shared: H2Pool | None = None
        self._only_h2: set[Destination] = set()

    async def open(
        self,
        destination: Destination,
        *,
        local: bool = False,
        fresh: bool = False,
        protocol: str = "http/1.1",
    ) -> UpstreamSide:
        """A connection ready for a request; `local` permits addresses that are not public.

        With `fresh`, it is none that was used before; `protocol` is what the client speaks, or
        wants to switch to over HTTP/2. Raises UpstreamError.
        """
        if protocol != "http/1.1" or (self._only_h2 and destination in self._only_h2):
            shared = await self._share(destination, local, fresh=fresh, protocol=protocol)
            if shared is not None:
                return shared
        wire = None if fresh else self._take_idle(destination)
        reused = wire is not None
        if wire is None:
            try:
                wire = await self._connect(destination, local, _H1)
            except _NotSpoken:
                self._remember_only_h2(destination)
                return await self.open(destination, local=local, fresh=fresh, protocol=protocol)
        keep = partial(self._keep, destination)
        if protocol == "http/1.1":
            return H1Upstream(wire, reused=reused, keep=keep)
        from moat.proxy.h2_to_h1 import TranslatedUpstream

        return TranslatedUpstream(wire, reused=reused, keep=keep)

    async def _share(
        self, destination: Destination, local: bool, *, fresh: bool, protocol: str
    ) -> UpstreamSide | None:
        """A stream of an HTTP/2 connection; None if HTTP/1.1 is spoken. Raises UpstreamError."""
        if destination.scheme != "https":
            return None
        if self._shared is None:
            from moat.proxy.h2_pool import H2Pool

            self._shared = H2Pool(self._connect, _welcome, self._keep)
        switch = protocol == "websocket" and destination not in self._only_h2
        return await self._shared.enter(destination, local=local, fresh=fresh, switch=switch)

    def _remember_only_h2(self, destination: Destination) -> None:
        if destination in self._only_h2:
            raise UpstreamError("upstream-tls", f"{destination} speaks no HTTP that is known here")
        if len(self._only_h2) >= _MOST_REMEMBERED:
            self._only_h2.clear()
        self._only_h2.add(destination)

    def _keep(self, destination: Destination, wire: Wire) -> None:
        """Keep a connection that is ready for another request."""
        idle = self._idle.setdefault(destination, [])
        full = len(idle) >= IDLE_CONNECTIONS or self._kept >= MOST_IDLE
        if full or not _is_fit(wire):
            wire.close()
            return
        loop = asyncio.get_running_loop()
        idle.append((wire, loop.time()))
        self._kept += 1
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_stale)

    def close(self) -> None:
        """Close every connection that is idle or shared."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connections in self._idle.values():
            for wire, _ in connections:
                wire.close()
        self._idle.clear()
        self._kept = 0
        if self._shared is not None:
            self._shared.close()

    async def wait_closed(self) -> None:
        """Wait until shared connections have ended as well."""
        if self._shared is not None:
            await self._shared.wait_closed()

    def _take_idle(self, destination: Destination) -> Wire | None:
        idle = self._idle.get(destination)
        while idle:
            wire, since = idle.pop()
            self._kept -= 1
            if _is_fresh(wire, since):
                return wire
            wire.close()
        return None

    def _close_stale(self) -> None:
        """Nobody may ask for a destination again: its connections must not stay for ever."""
        kept: dict[Destination, list[tuple[Wire, float]]] = {}
        for destination, connections in self._idle.items():
            for wire, since in connections:
                if _is_fresh(wire, since):
                    kept.setdefault(destination, []).append((wire, since))
                else:
                    wire.close()
        self._idle = kept
        self._kept = sum(map(len, kept.values()))
        self._sweep = None
        if kept:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_stale)

    async def _connect(self, destination: Destination, local: bool, offered: Sequence[str]) -> Wire:
        """A new connection that was offered these protocols. Raises UpstreamError, _NotSpoken."""
        return await _in_time(destination, self._reach(destination, local, offered))

    async def _reach(self, destination: Destination, local: bool, offered: Sequence[str]) -> Wire:
        wire = await self._dial(destination, local)
        if destination.scheme == "https":
            try:
                await self._shake_hands(wire, destination, offered)
            except BaseException:  # a timeout, or a client that went away, among them
                wire.abort()
                raise
        return wire

    async def _dial(self, destination: Destination, local: bool) -> Wire:
        loop = asyncio.get_running_loop()
        reasons = []
        for host, port in await self._addresses(destination, local):
            try:
                async with asyncio.timeout(ATTEMPT_TIMEOUT):
                    _, wire = await loop.create_connection(Wire, host, port)
            except TimeoutError:
                reasons.append(f"{host} did not answer")
            except OSError as error:
                reasons.append(error.strerror or str(error))
            else:
                return wire
        detail = "; ".join(dict.fromkeys(reasons))
        raise UpstreamError("upstream-unreachable", f"{destination} cannot be reached: {detail}")

    async def _addresses(self, destination: Destination, local: bool) -> list[HostPort]:
        """Where to dial. Every address of the name must be allowed, or none is used."""
        instead = self._connect_to.get((destination.host, destination.port))
        if instead is not None:
            return [instead]
        if is_address(destination.host):
            addresses = [destination.host]
        else:
            addresses = await _resolve(destination)
        if not local:
            for address in addresses:
                if not is_public(address):
                    raise UpstreamError(
                        "address-refused",
                        f"{destination} leads to {address}, which is not a public address",
                        status=403,
                    )
        return [(address, destination.port) for address in addresses]

    async def _shake_hands(
        self, wire: Wire, destination: Destination, offered: Sequence[str]
    ) -> None:
        try:
            context = self._context()
        except MoatError as error:
            raise UpstreamError("upstream-trust", error.message) from error
        # What is offered is copied when the connection begins: one context is enough.
        context.set_alpn_protocols(offered)
        try:
            await wire.start_tls(context, server_side=False, server_hostname=destination.host)
        except ssl.SSLCertVerificationError as error:
            raise UpstreamError(
                "upstream-certificate",
                f"the certificate of {destination} is not trusted: {error.verify_message}. "
                "If a company gateway stands between, name its root in upstream.ca_file of "
                "config.yaml",
            ) from error
        except (ssl.SSLError, WireClosed) as error:
            if offered == _H1 and _ALERT in str(error):
                raise _NotSpoken from error
            raise UpstreamError(
                "upstream-tls", f"{destination} does not speak TLS as it must: {error}"
            ) from error


async def _in_time(destination: Destination, attempt: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await attempt
    except TimeoutError:
        raise UpstreamError(
            "upstream-timeout",
            f"{destination} did not answer within {CONNECT_TIMEOUT:.0f} s",
            status=504,
        ) from None


async def _welcome(destination: Destination, link: UpstreamLink) -> None:
    """Wait until a new HTTP/2 connection takes exchanges. Raises UpstreamError."""
    try:
        await _in_time(destination, link.known())
    except BaseException:
        link.close()
        raise
    if not link.fit:
        link.close()
        raise UpstreamError("upstream-closed", f"{destination} takes no requests over HTTP/2")


def _is_fit(wire: Wire) -> bool:
    """Whether a connection is open, and the server has said nothing unasked."""
    return not (wire.ended or wire.lost or wire.buffer)


def _is_fresh(wire: Wire, since: float) -> bool:
    return _is_fit(wire) and asyncio.get_running_loop().time() - since < IDLE_SECONDS


async def _resolve(destination: Destination) -> list[str]:
    try:
        addresses = await _look_up(destination.host, destination.port)
    except OSError as error:
        raise UpstreamError(
            "name-not-found",
            f"the name {destination.host} cannot be resolved: {error.strerror or error}",
        ) from error
    if not addresses:
        raise UpstreamError("name-not-found", f"the name {destination.host} has no address")
    return addresses


async def _look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order to try them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
