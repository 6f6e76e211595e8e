"""Clients that know no proxy: in the box every address leads here, at the ports of the web.

What such a client means is read off its connection: the name its address was given to, the server
name of its TLS hello, its Host header, and only then the address itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from moat.core.hosts import Destination, canonical_host, is_address
from moat.engine.hello import Incomplete, server_name
from moat.engine.names import Names
from moat.proxy.wire import Wire, WireClosed

# A fatal alert, unrecognized_name (RFC 8446 section 6, RFC 6066 section 3), in the clear.
ALERT = bytes((0x15, 3, 3, 0, 2, 2, 112))


class DirectWire(Wire):
    """A connection of such a client; `address` and `port` are those it was opened to."""

    def __init__(self, names: Names, on_lost: Callable[[Wire], None] | None = None) -> None:
        super().__init__(on_lost)
        self.address = ""
        self.port = 0
        self._names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.address, self.port = transport.get_extra_info("sockname")[:2]
        super().connection_made(transport)

    @property
    def place(self) -> str:
        """What it was opened to, before anything was said."""
        host = self._names.at(self.address) or self.address
        return str(Destination("https", host, self.port))

    async def by_hello(self) -> Destination:
        """Where it goes that begins with a TLS hello, which is left for the handshake.

        Raises WireClosed, and ValueError for a hello that cannot be read or names another host than
        the address stands for.
        """
        name = await self._server_name()
        said = None if name is None else canonical_host(name)
        if said is not None and is_address(said):
            raise ValueError("the server name of the TLS hello is an address")
        given = self._names.at(self.address)
        if given is not None and said != given:
            raise ValueError(f"the TLS hello names {said or 'nobody'}, the address is {given}'s")
        return Destination("https", said or canonical_host(self.address), self.port)

    async def _server_name(self) -> str | None:
        while True:
            try:
                return server_name(bytes(self.buffer))
            except Incomplete as more:
                while len(self.buffer) < more.size:
                    if not await self.fill():
                        raise WireClosed("the connection ended inside a TLS hello") from None

    def by_host(self, named: Destination) -> Destination:
        """Where it goes in the clear, if this is what its first request names."""
        return Destination("http", self._names.at(self.address) or named.host, self.port)
