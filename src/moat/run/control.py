"""What a supervisor and the command line say to each other, as frames on a unix socket.

A frame is a kind (one byte), a length (four bytes, big-endian) and that many bytes. Data frames
carry bytes as they are; the others carry a JSON object. Unknown kinds are passed over, so that
either side may learn new ones. No secret is ever in a frame.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("!cI")
MAX_FRAME = 1 << 20

# What a client and a supervisor of another Moat agree on; kinds may be added without a new one.
VERSION = 1

# supervisor to client
STDOUT = b"o"
STDERR = b"r"
EXIT = b"x"  # {"code", "run", "error", "hint"}
STDIN_TAKEN = b"a"  # {"bytes"}: room for as many more
QUESTION = b"q"  # {"id", "run", "name", …}: no output comes until it is answered or withdrawn
WITHDRAWN = b"u"  # {"id"}: that question is not asked any more
STARTED = b"s"  # {"run"}: the command has been let go
SKIPPED = b"m"  # {"bytes"}: of output, which a slow client was not sent; its screen is drawn anew
DETACHED = b"d"  # {"why"}: nothing more comes; the run goes on
# client to supervisor
STDIN = b"i"
STDIN_END = b"e"
RESIZE = b"w"  # {"rows", "columns"}
PLACE = b"p"  # {"row", "column", "keyboard", "front", "back"}: what a terminal tells of itself
DETACH = b"b"  # the client leaves; the run goes on
SIGNAL = b"k"  # {"number"}
CLOSED = b"c"  # the kind of the frames that nobody reads any more, as it is
ANSWER = b"n"  # {"id", "action", "extent"}; `action` is "later" where it is left to others


# How many bytes of input a client sends ahead of what was taken, so that a command which does
# not read cannot fill memory, and a signal never waits behind input.
STDIN_WINDOW = 1 << 20


class ProtocolError(Exception):
    """The other side does not speak this protocol."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """A frame of bytes."""
    return HEADER.pack(kind, len(payload)) + payload


def message(kind: bytes, **members: Any) -> bytes:
    """A frame of a JSON object."""
    return frame(kind, json.dumps(members).encode())


class Deframer:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames (kind, payload) completed by these bytes. Raises ProtocolError."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload
