"""A plan on its way from the command line to its supervisor, which is another process by then."""

from __future__ import annotations

import pickle
import socket
import struct

from moat.config.paths import Home
from moat.run.plan import Plan

_LENGTH = struct.Struct("!Q")


def receive(channel: socket.socket) -> tuple[Plan, Home] | None:
    """The plan that the command line has made, and Moat's directory; None if it has ended.

    Nobody else has the other end of the channel: what comes is our own.
    """
    header = _exactly(channel, _LENGTH.size)
    content = _exactly(channel, *_LENGTH.unpack(header)) if header else None
    if not content:
        return None
    received: tuple[Plan, Home] = pickle.loads(content)  # noqa: S301  # from our own process
    return received


def send(channel: socket.socket, plan: Plan, home: Home) -> None:
    """Give a supervisor its plan. Raises OSError."""
    channel.sendall(packed(plan, home))


def packed(plan: Plan, home: Home) -> bytes:
    """A plan as it goes over the channel."""
    content = pickle.dumps((plan, home))
    return _LENGTH.pack(len(content)) + content


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        if not (data := channel.recv(count - len(parts))):
            return None
        parts += data
    return bytes(parts)
