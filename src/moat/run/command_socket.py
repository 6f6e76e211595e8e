"""The socket in a run's directory that takes commands: where it is, and how to send one.

One command a connection: a line of JSON there, a line of JSON back.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moat.errors import MoatError

NAME = "control"
MAX_LINE = 16 << 10
MAX_REPLY = 1 << 20
# Seconds that whoever connects may take to say what they want, and to hear the reply.
PATIENCE = 10.0


def tell(
    directory: Path, command: Mapping[str, Any], *, patience: float = PATIENCE
) -> dict[str, Any]:
    """Send a command to the run of a directory; the reply.

    Raises MoatError with what the run has against it, or when there is no run to hear it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with Address(directory) as address:
                connection.connect(address)
            connection.sendall(json.dumps(command).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n") and len(data) <= MAX_REPLY:
                if not (more := connection.recv(1 << 16)):
                    break
                data += more
            reply: dict[str, Any] = {**json.loads(data)}
        except (FileNotFoundError, ConnectionRefusedError):
            raise MoatError(
                f"run {directory.name} takes no commands: it has ended, or is only starting",
                hint="run: moat list",
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise MoatError(
                f"run {directory.name} does not answer: {error}",
                hint=f"see its log: {directory / 'supervisor.log'}",
            ) from None
    if "error" in reply:
        hint = reply.get("hint")
        raise MoatError(str(reply["error"]), hint=hint and str(hint))
    return reply


class Address:
    """An address of the socket that fits where 108 bytes must do, however long the path is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> str:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._directory, flags)
        return f"/proc/self/fd/{self._descriptor}/{NAME}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
