"""Connections to upstream servers: resolved once, checked, dialled, verified, and pooled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moat.core.addresses import is_public
from moat.core.hosts import Destination, is_address
from moat.engine.problem import Problem
from moat.errors import MoatError
from moat.proxy.wire import Wire, WireClosed

CONNECT_TIMEOUT = 15.0
# Servers close idle connections after a minute or so; one that is near that is not risked.
IDLE_SECONDS = 30.0
IDLE_CONNECTIONS = 16

HostPort = tuple[str, int]


class UpstreamError(Exception):
    """An upstream could not be reached as it must be; `problem` is what the client is told."""

    def __init__(self, kind: str, detail: str, *, status: int = 502) -> None:
        super().__init__(detail)
        self.problem = Problem(status=status, kind=kind, detail=detail)


@dataclass(eq=False, slots=True)
class Connection:
    """One connection to one destination; `reused` if it has carried an exchange before."""

    destination: Destination
    wire: Wire
    reused: bool = False
    idle_since: float = field(default=0.0)


class Upstreams:
    """Makes connections, and keeps the idle ones of one run.

    `context` makes the TLS context, once, when it is first needed: loading the system's roots
    takes longer than starting a box, and many runs never open a connection. `connect_to` names where to dial instead of a destination's own address: the user's word,
    so the address it names is not judged; name, SNI and certificate check stay.
    """

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        *,
        connect_to: Mapping[HostPort, HostPort] | None = None,
    ) -> None:
        self._context = context
        self._connect_to = dict(connect_to or {})
        self._idle: dict[Destination, list[Connection]] = {}

    async def acquire(
        self, destination: Destination, *, local: bool = False, fresh: bool = False
    ) -> Connection:
        """A connection ready for a request; `local` permits addresses that are not public.

        Raises UpstreamError.
        """
        if not fresh:
            connection = self._take_idle(destination)
            if connection is not None:
                return connection
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                wire = await self._dial(destination, local)
                if destination.scheme == "https":
                    await self._shake_hands(wire, destination)
        except TimeoutError:
            raise UpstreamError(
                "upstream-timeout",
                f"{destination} did not answer within {CONNECT_TIMEOUT:.0f} s",
                status=504,
            ) from None
        return Connection(destination, wire)

    def release(self, connection: Connection) -> None:
        """Give a connection back that is ready for another request."""
        idle = self._idle.setdefault(connection.destination, [])
        if connection.wire.lost or connection.wire.ended or len(idle) >= IDLE_CONNECTIONS:
            connection.wire.close()
            return
        connection.reused = True
        connection.idle_since = asyncio.get_running_loop().time()
        idle.append(connection)

    def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            for connection in connections:
                connection.wire.close()
        self._idle.clear()

    def _take_idle(self, destination: Destination) -> Connection | None:
        idle = self._idle.get(destination, [])
        now = asyncio.get_running_loop().time()
        while idle:
            connection = idle.pop()
            wire = connection.wire
            alive = not (wire.ended or wire.lost or wire.buffer)
            if alive and now - connection.idle_since < IDLE_SECONDS:
                return connection
            wire.close()
        return None

    async def _dial(self, destination: Destination, local: bool) -> Wire:
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for host, port in await self._addresses(destination, local):
            try:
                _, wire = await loop.create_connection(Wire, host, port)
            except OSError as error:
                failure = error
            else:
                return wire
        assert failure is not None
        raise UpstreamError(
            "upstream-unreachable", f"{destination} cannot be reached: {failure.strerror}"
        ) from failure

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
            wire.abort()
            raise UpstreamError("upstream-trust", error.message) from error
        try:
            await wire.start_tls(
                context, server_side=False, server_hostname=destination.host
            )
        except ssl.SSLCertVerificationError as error:
            wire.abort()
            raise UpstreamError(
                "upstream-certificate",
                f"the certificate of {destination} is not trusted: {error.verify_message}. "
                "If a company gateway stands between, name its root in upstream.ca_file of "
                "config.yaml",
            ) from error
        except (ssl.SSLError, WireClosed) as error:
            wire.abort()
            raise UpstreamError(
                "upstream-tls", f"{destination} does not speak TLS as it must: {error}"
            ) from error


async def _resolve(destination: Destination) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            destination.host, destination.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except OSError as error:
        raise UpstreamError(
            "name-not-found", f"the name {destination.host} cannot be resolved: {error.strerror}"
        ) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
