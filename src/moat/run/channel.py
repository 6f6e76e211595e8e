"""The supervisor's end of the channel to the command line."""

from __future__ import annotations

import asyncio
import contextlib


class Client:
    """The command line at the other end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._gone = False

    async def send(self, data: bytes) -> None:
        """Send a frame, waiting while the client is slow; nothing once it is gone."""
        if self._gone:
            return
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self._gone = True

    def send_nowait(self, data: bytes) -> None:
        """Send a frame behind all that was sent; for those that are small and few."""
        if not self._gone:
            self._writer.write(data)

    async def receive(self) -> bytes:
        """Bytes from the client; empty when it is gone."""
        try:
            return await self._reader.read(1 << 16)
        except ConnectionError:
            return b""

    async def close(self) -> None:
        """Close the channel once everything has gone out."""
        with contextlib.suppress(ConnectionError):
            self._writer.close()
            await self._writer.wait_closed()
