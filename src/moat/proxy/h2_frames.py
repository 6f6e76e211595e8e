"""Frames of HTTP/2 (RFC 9113 section 4), cut out of the bytes that come, and counted.

What a frame says is read by `h2`; it is given one at a time, so that what is wrong with one can
be told from what came before it. What costs its sender nothing and the reader something is
bounded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from moat.proxy.h1 import MAX_HEAD, BadMessage

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME = 16 * 1024
# A block of headers in so many frames, and of so many bytes, is enough for any that is allowed.
MAX_CONTINUATIONS = 16

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)

ENDS = 0x1
ENDS_HEADERS = 0x4
PADDED = 0x8

# Frames that say nothing of a message: a sender may make any number of them.
_ABOUT_NOTHING = frozenset({PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE})


class Frame(NamedTuple):
    """One frame: its type, its flags, the stream it belongs to, and all its bytes."""

    kind: int
    flags: int
    stream: int
    raw: bytes

    @property
    def size(self) -> int:
        """The bytes of its payload."""
        return len(self.raw) - 9

    @property
    def data_size(self) -> int:
        """The bytes of data in a DATA frame, less its padding."""
        if not self.flags & PADDED:
            return self.size
        return max(0, self.size - 1 - self.raw[9]) if self.size else 0

    @property
    def is_idle(self) -> bool:
        """Whether it brings no message any further."""
        if self.kind == DATA:
            return not self.data_size and not self.flags & ENDS
        return self.kind in _ABOUT_NOTHING or self.kind > CONTINUATION


class FrameReader:
    """Cuts frames out of a stream of bytes, which begins with the preface if a client sends it."""

    def __init__(self, *, preface: bool) -> None:
        self._preface = PREFACE if preface else b""
        self._buffer = bytearray()
        self._block = 0  # bytes of the block of headers that is being read
        self._parts = 0  # and its frames

    @property
    def unfinished(self) -> bool:
        """Whether the rest of a frame, or of a block of headers, is still to come."""
        return bool(self._buffer or self._parts or self._preface)

    @property
    def in_block(self) -> bool:
        """Whether a block of headers is being read, between whose frames no others may stand."""
        return self._parts > 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with these bytes. Raises BadMessage."""
        buffer = self._buffer
        buffer += data
        if self._preface and not self._take_preface():
            return
        start = 0
        try:
            while len(buffer) - start >= 9:
                size = int.from_bytes(buffer[start : start + 3], "big")
                if size > MAX_FRAME:
                    raise BadMessage(f"a frame is larger than {MAX_FRAME} bytes")
                end = start + 9 + size
                if len(buffer) < end:
                    break
                raw = bytes(buffer[start:end])
                start = end
                stream = int.from_bytes(raw[5:9], "big") & 0x7FFFFFFF
                frame = Frame(raw[3], raw[4], stream, raw)
                self._count(frame)
                yield frame
        finally:
            del buffer[:start]

    def _take_preface(self) -> bool:
        got, wanted = self._buffer[: len(PREFACE)], self._preface
        if got != wanted[: len(got)]:
            raise BadMessage("the connection does not begin as HTTP/2 does")
        if len(got) < len(wanted):
            return False
        del self._buffer[: len(wanted)]
        self._preface = b""
        return True

    def _count(self, frame: Frame) -> None:
        """Bound a block of headers, which is read as a whole only."""
        if frame.kind in (HEADERS, PUSH_PROMISE):
            self._block, self._parts = 0, 1
        elif frame.kind == CONTINUATION:
            self._parts += 1
        else:
            return
        self._block += frame.size
        if self._block > MAX_HEAD or self._parts > MAX_CONTINUATIONS:
            raise BadMessage("a block of headers is too large", status=431)
        if frame.flags & ENDS_HEADERS:
            self._parts = 0


class Budget:
    """How often something may happen: so many times at once, and so many a second."""

    def __init__(self, most: int, per_second: float, now: float) -> None:
        self._most = most
        self._per_second = per_second
        self._left = float(most)
        self._since = now

    def spend(self, now: float | None) -> bool:
        """Whether it may happen once more. Without a time, none is taken to have passed."""
        if now is not None:
            self._left = min(self._most, self._left + (now - self._since) * self._per_second)
            self._since = now
        self._left -= 1
        return self._left >= 0

    def earn(self, times: int) -> None:
        """Let it happen some more times."""
        self._left = min(self._most, self._left + times)
