"""Takes commands on the socket in a run's directory.

Only the account that the run belongs to is listened to; the directory is closed to all others,
and to every box.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from moat import log
from moat.errors import MoatError
from moat.run.command_socket import MAX_LINE, NAME, PATIENCE, Address

MAX_CONNECTIONS = 64

Obey = Callable[[Mapping[str, Any]], dict[str, Any]]
# Takes over a connection whose first line is a command of its own; None leaves the line to `Obey`.
# What is raised before the first word went back is the reply.
Join = Callable[
    [Mapping[str, Any], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None
]


class CommandServer:
    """Listens in a directory, and has commands obeyed."""

    def __init__(
        self,
        directory: Path,
        obey: Obey,
        *,
        join: Join | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._directory = directory
        self._obey = obey
        self._join = join
        self._patience = patience
        self._served: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._joined: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def listen(self) -> None:
        """Begin to listen. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with Address(self._directory) as address:
                listener.bind(address)
                os.chmod(address, 0o600)  # noqa: PTH101  # it is no path to be kept
            self._server = await asyncio.start_unix_server(
                self._meet, sock=listener, limit=MAX_LINE, backlog=8 * MAX_CONNECTIONS
            )
        except OSError:
            listener.close()
            raise

    async def close(self) -> None:
        """Listen no more, to nobody."""
        self._server.close()
        (self._directory / NAME).unlink(missing_ok=True)
        served = dict(self._served)
        for writer, task in served.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*served.values(), return_exceptions=True)
        await asyncio.sleep(0)  # in which they are closed

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._served) + len(self._joined) >= MAX_CONNECTIONS or not _is_ours(writer):
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._served[writer] = task
        task.add_done_callback(lambda _: self._served.pop(writer, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                command = await _command(reader)
            reply = await self._reply(command, reader, writer)
            if reply is not None:
                async with asyncio.timeout(self._patience):
                    writer.write(json.dumps(reply).encode() + b"\n")
                    writer.close()
                    await writer.wait_closed()
        except (TimeoutError, ConnectionError):
            pass  # who is too slow, or gone, hears nothing
        finally:
            writer.transport.abort()

    async def _reply(
        self,
        command: Mapping[str, Any] | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> dict[str, Any] | None:
        """What is said back; None once the connection was somebody else's."""
        if command is None:
            return {"error": "that is no command", "hint": None}
        try:
            if self._join is not None and (joined := self._join(command, reader, writer)):
                # It hears how the run ends, which is after we have closed.
                if (task := self._served.pop(writer, None)) is not None:
                    self._joined.add(task)
                    task.add_done_callback(self._joined.discard)
                await joined
                return None
            return self._obey(command)
        except MoatError as error:
            return {"error": error.message, "hint": error.hint}
        except Exception:
            log.get(__name__).exception("a command could not be obeyed")
            return {"error": "Moat failed where it should not have", "hint": "see the run's log"}


async def _command(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    try:
        line = await reader.readline()
        command = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):  # too long, no JSON, or nested without end
        return None
    return command if isinstance(command, dict) else None


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether a process of our own account is at the other end."""
    ucred = struct.Struct("3i")  # unix(7): pid, uid, gid
    connection = writer.get_extra_info("socket")
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size)
    _, uid, _ = ucred.unpack(data)
    return bool(uid == os.geteuid())
