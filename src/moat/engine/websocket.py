"""Taking secrets out of what a server says over a WebSocket (RFC 6455).

Frames keep their lengths, and bytes their order: while the end of a payload may be the beginning
of a secret, what follows waits behind it. A message ends with all of it on its way.
"""

from __future__ import annotations

from collections import deque

from moat.engine.problem import Problem
from moat.engine.scrub import Scrubber, scrubbed
from moat.engine.spellings import Spellings
from moat.engine.transform import Refused

_FIN = 0x80
_RESERVED = 0x70
_OPCODE = 0x0F
_MASKED = 0x80
_CONTINUATION, _TEXT, _BINARY = 0x0, 0x1, 0x2
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA
_LONGEST_CONTROL = 125


# Frames that wait behind what may be the beginning of a secret: that is a few hundred bytes long,
# and nobody sends them one by one.
_MOST_WAITING = 4096


class FrameScrubber:
    """The way from a server to a client, once the protocols have been switched: a Transform."""

    def __init__(self, spellings: Spellings) -> None:
        self._spellings = spellings
        self._unread = b""  # of a head, or of a control frame
        self._left = 0  # bytes of the payload of a data frame that are still to come
        self._last = True  # whether the message ends with that frame
        self._message: Scrubber | None = None
        self._paid: list[bytes] = []  # of the message, not yet looked through
        # What goes on in this order: bytes, and how many of the message's are due.
        self._queue: deque[bytes | int] = deque()
        self._ready = b""

    def feed(self, data: bytes) -> bytes:
        """What can go on, these bytes being the next. Raises Refused."""
        data = self._unread + data
        position = 0
        while position < len(data):
            if self._left:
                payload = data[position : position + self._left]
                position += len(payload)
                self._left -= len(payload)
                self._pay(payload)
                continue
            taken = self._begin(data, position)
            if not taken:
                break
            position += taken
        self._unread = data[position:]
        self._look()
        return self._released()

    def finish(self) -> bytes:
        """What was held back; a connection may end anywhere. A head that was cut goes nowhere."""
        if self._message is not None:
            self._ready += self._message.finish()
            self._message = None
        return self._released()

    def _begin(self, data: bytes, position: int) -> int:
        """Read a head, and a control frame whole; the bytes that took, 0 if more have to come."""
        if len(data) < position + 2:
            return 0
        first, second = data[position], data[position + 1]
        self._check(first, second)
        size = 2 + {126: 2, 127: 8}.get(second, 0)
        if len(data) < position + size:
            return 0
        length = int.from_bytes(data[position + 2 : position + size], "big") if size > 2 else second
        if length >> 40:
            raise _refused("a frame longer than any")
        if len(self._queue) > _MOST_WAITING:
            raise _refused("more frames than can wait for the end of what may be a secret")
        head = data[position : position + size]
        if first & _OPCODE >= _CLOSE:
            payload = data[position + size : position + size + length]
            if len(payload) < length:
                return 0
            self._queue.append(head + scrubbed(payload, self._spellings))
            return size + length
        if self._message is None:
            self._message = Scrubber(self._spellings)
        self._queue += (head, length)
        self._left, self._last = length, bool(first & _FIN)
        if not length:
            self._pay(b"")
        return size

    def _check(self, first: int, second: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise _refused("a frame with an extension nobody agreed to")
        if second & _MASKED:
            raise _refused("a masked frame from a server")
        if opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise _refused("a frame of an unknown kind")
        if opcode >= _CLOSE:
            if second > _LONGEST_CONTROL or not first & _FIN:
                raise _refused("a control frame that is too long, or not whole")
        elif (opcode == _CONTINUATION) == (self._message is None):
            raise _refused("messages that do not follow each other")

    def _pay(self, payload: bytes) -> None:
        assert self._message is not None
        self._paid.append(payload)
        if self._last and not self._left:
            self._look()
            self._ready += self._message.finish()
            self._message = None

    def _look(self) -> None:
        """Look through what has come of a message, in one go: frames may be of a byte each."""
        if self._paid and self._message is not None:
            self._ready += self._message.feed(b"".join(self._paid))
            self._paid.clear()

    def _released(self) -> bytes:
        parts: list[bytes] = []
        used = 0
        while self._queue:
            due = self._queue.popleft()
            if isinstance(due, bytes):
                parts.append(due)
                continue
            part = self._ready[used : used + due]
            parts.append(part)
            used += len(part)
            if len(part) < due:
                self._queue.appendleft(due - len(part))
                break
        self._ready = self._ready[used:]
        return b"".join(parts)


def _refused(what: str) -> Refused:
    detail = f"the server sent what cannot be looked through: {what}"
    return Refused(Problem(status=502, kind="answer-websocket", detail=detail))
