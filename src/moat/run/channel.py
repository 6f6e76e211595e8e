"""The supervisor's end of a connection with a client."""

from __future__ import annotations

import asyncio
import contextlib


class Client:
    """A command line at the other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._gone = False

    @property
    def waiting(self) -> int:
        """Bytes that were sent and have not gone out."""
        return 0 if self._gone else int(self._writer.transport.get_write_buffer_size())

    def send_nowait(self, data: bytes) -> None:
        """Send behind all that was sent; nothing once the client is gone."""
        if not self._gone and not self._writer.transport.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        """Wait while much of what was sent has not gone out."""
        if self._gone:
            return
        try:
            await self._writer.drain()
        except ConnectionError:
            self._gone = True

    async def receive(self) -> bytes:
        """Bytes from the client; empty when it is gone."""
        try:
            return await self._reader.read(1 << 16)
        except ConnectionError:
            return b""

    async def close(self, patience: float | None = None) -> None:
        """Close once everything has gone out, or so many seconds later."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._writer.close()
            async with asyncio.timeout(patience):
                await self._writer.wait_closed()
        self._writer.transport.abort()
