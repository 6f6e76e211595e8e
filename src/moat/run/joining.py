"""Joining a live run from another process: a connection that becomes a channel."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moat.errors import MoatError
from moat.run import control
from moat.run.command_socket import MAX_REPLY, PATIENCE, Address


@dataclass(frozen=True, slots=True)
class Joined:
    """A channel to a run, and what it said when it took us in."""

    channel: socket.socket
    said: Mapping[str, Any]


@contextlib.contextmanager
def join(directory: Path, command: Mapping[str, Any]) -> Iterator[Joined]:
    """Take part in the run of a directory. Raises MoatError where it does not let us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(PATIENCE)
        try:
            with Address(directory) as address:
                channel.connect(address)
            channel.sendall(json.dumps({**command, "version": control.VERSION}).encode() + b"\n")
            said = json.loads(_line(channel))
        except (FileNotFoundError, ConnectionRefusedError):
            raise MoatError(
                f"run {directory.name} lets nobody in: it has ended, or is only starting",
                hint="run: moat list",
            ) from None
        except (OSError, ValueError) as error:
            raise MoatError(
                f"run {directory.name} does not answer: {error}",
                hint=f"see its log: {directory / 'supervisor.log'}",
            ) from None
        if not isinstance(said, dict) or "error" in said:
            said = said if isinstance(said, dict) else {"error": "it says nothing we know"}
            raise MoatError(str(said["error"]), hint=said.get("hint"))
        channel.settimeout(None)
        yield Joined(channel, said)


def _line(channel: socket.socket) -> bytes:
    """The first line, and not a byte more: what follows is frames."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := channel.recv(1)) or len(line) > MAX_REPLY:
            raise ValueError("the connection was closed")
        line += byte
    return line
