"""What the client of a WebSocket says, unmasked (RFC 6455 section 5.2)."""

from __future__ import annotations

from collections.abc import Iterator


def is_control(opcode: int) -> bool:
    """Whether a frame is about the connection, and not part of a message."""
    return opcode >= 0x8


class FramePayloads:
    """The payloads of frames, piece by piece as they come."""

    def __init__(self) -> None:
        self._head = b""
        self._opcode = 0
        self._mask = b""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and unmasked payload of each piece in these bytes, the next of the stream."""
        position = 0
        while position < len(data):
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                yield self._opcode, self._unmasked(piece)
            else:
                step = _head_size(self._head) - len(self._head)
                self._head += data[position : position + step]
                position += step
                if len(self._head) == _head_size(self._head):
                    self._begin()

    def _begin(self) -> None:
        head, self._head = self._head, b""
        self._opcode = head[0] & 0x0F
        self._left = head[1] & 0x7F
        if self._left == 126:
            self._left = int.from_bytes(head[2:4], "big")
        elif self._left == 127:
            self._left = int.from_bytes(head[2:10], "big")
        self._mask = head[-4:] if head[1] & 0x80 else b""

    def _unmasked(self, piece: bytes) -> bytes:
        if not self._mask:
            return piece  # against the protocol, and the server's to refuse
        size, turn = len(piece), len(piece) % 4
        key = (self._mask * (size // 4 + 1))[:size]
        self._mask = self._mask[turn:] + self._mask[:turn]
        # As one great number: a loop over bytes would take a hundred times as long.
        unmasked = int.from_bytes(piece, "little") ^ int.from_bytes(key, "little")
        return unmasked.to_bytes(size, "little")


def _head_size(head: bytes) -> int:
    """How long a head is that begins like this."""
    if len(head) < 2:
        return 2
    masked = 4 if head[1] & 0x80 else 0
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + masked
