"""A CONNECT forwarder that dials the stand-in whenever it is asked for api.openai.com:443."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from types import TracebackType
from typing import Self

TARGET = "api.openai.com:443"


class Tunnel:
    """Forwards CONNECT for one name to a port of this host and refuses all others with 403."""

    def __init__(self, port: int) -> None:
        self._dial = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked: list[str] = []
        """Every target a client asked for, in order."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Own tasks, so that leaving the block ends them: asyncio's server does not before 3.13.
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.asked.append(target)
            if (method, target) != ("CONNECT", TARGET):
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._dial)
            async with _closing(up_writer):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _first_end(_copy(reader, up_writer), _copy(up_reader, writer))


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    except (OSError, asyncio.IncompleteReadError):
        pass  # one side is gone, and so the other is told by closing
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _first_end(*ways: Coroutine[None, None, None]) -> None:
    """Run both ways until one ends: TLS does not survive half of its connection."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
