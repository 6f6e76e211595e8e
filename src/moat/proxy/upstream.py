"""Connections to upstream servers: resolved once, checked, dialled, verified, and pooled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial

from moat.core.addresses import is_public
from moat.core.hosts import Destination, is_address
from moat.engine.problem import Problem
from moat.errors import MoatError
from moat.proxy.h1_upstream import H1Upstream
from moat.proxy.sides import UpstreamSide
from moat.proxy.wire import Wire, WireClosed

CONNECT_TIMEOUT = 15.0  # in all: name, address after address, TLS
ATTEMPT_TIMEOUT = 5.0  # for one address of several
# Servers close idle connections after a minute or so; one that is near that is not risked.
IDLE_SECONDS = 30.0
IDLE_CONNECTIONS = 16

HostPort = tuple[str, int]


class UpstreamError(Exception):
    """An upstream could not be reached as it must be; `problem` is what the client is told."""

    def __init__(self, kind: str, detail: str, *, status: int = 502) -> None:
        super().__init__(detail)
        self.problem = Problem(status=status, kind=kind, detail=detail)


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
        self._sweep: asyncio.TimerHandle | None = None

    async def open(
        self,
        destination: Destination,
        *,
        local: bool = False,
        fresh: bool = False,
        protocol: str = "http/1.1",
    ) -> UpstreamSide:
        """A connection ready for a request; `local` permits addresses that are not public.

        With `fresh`, it is none that was used before; `protocol` is what the client speaks.
        Raises UpstreamError.
        """
        wire = None if fresh else self._take_idle(destination)
        if wire is not None:
            return H1Upstream(wire, reused=True, keep=partial(self._keep, destination))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                wire = await self._connect(destination, local)
        except TimeoutError:
            raise UpstreamError(
                "upstream-timeout",
                f"{destination} did not answer within {CONNECT_TIMEOUT:.0f} s",
                status=504,
            ) from None
        return H1Upstream(wire, reused=False, keep=partial(self._keep, destination))

    def _keep(self, destination: Destination, wire: Wire) -> None:
        """Keep a connection that is ready for another request."""
        idle = self._idle.setdefault(destination, [])
        if not _is_fit(wire) or len(idle) >= IDLE_CONNECTIONS:
            wire.close()
            return
        loop = asyncio.get_running_loop()
        idle.append((wire, loop.time()))
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_stale)

    def close(self) -> None:
        """Close every idle connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connections in self._idle.values():
            for wire, _ in connections:
                wire.close()
        self._idle.clear()

    def _take_idle(self, destination: Destination) -> Wire | None:
        idle = self._idle.get(destination)
        while idle:
            wire, since = idle.pop()
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
        self._sweep = None
        if kept:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_stale)

    async def _connect(self, destination: Destination, local: bool) -> Wire:
        wire = await self._dial(destination, local)
        if destination.scheme == "https":
            try:
                await self._shake_hands(wire, destination)
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

    async def _shake_hands(self, wire: Wire, destination: Destination) -> None:
        try:
            context = self._context()
        except MoatError as error:
            raise UpstreamError("upstream-trust", error.message) from error
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
            raise UpstreamError(
                "upstream-tls", f"{destination} does not speak TLS as it must: {error}"
            ) from error


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
