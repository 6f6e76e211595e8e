"""What the client of a WebSocket says, as far as it tells whether an answer is due (RFC 6455)."""

from __future__ import annotations

PING = 0x9
PONG = 0xA
_FIRST_CONTROL = 0x8


def is_data(opcode: int) -> bool:
    """Whether a frame is part of a message, and not about the connection."""
    return opcode < _FIRST_CONTROL


class FrameScanner:
    """Follows the frames of a client without looking into them."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._opcode = 0
        self._payload_left = 0

    def scan(self, data: bytes) -> set[int]:
        """The opcodes of the frames that these bytes, the next of the stream, are part of."""
        opcodes = set()
        position = 0
        while position < len(data):
            if self._payload_left:
                step = min(self._payload_left, len(data) - position)
                self._payload_left -= step
                position += step
                opcodes.add(self._opcode)
                continue
            step = _head_size(self._head) - len(self._head)
            self._head += data[position : position + step]
            position += step
            self._opcode = self._head[0] & 0x0F
            opcodes.add(self._opcode)
            if len(self._head) == _head_size(self._head):
                self._payload_left = _payload_size(self._head)
                self._head.clear()
        return opcodes


def _head_size(head: bytearray) -> int:
    """How long a head is that begins like this."""
    if len(head) < 2:
        return 2
    masked = 4 if head[1] & 0x80 else 0
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + masked


def _payload_size(head: bytearray) -> int:
    short = head[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(head[2:4] if short == 126 else head[2:10], "big")
