"""The frames of a WebSocket's client, unmasked however they come."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from engine.splitting import cut
from moat.engine.frames import FramePayloads, is_control


def frame(
    payload: bytes, *, opcode: int = 1, last: bool = True, mask: bytes | None = None
) -> bytes:
    """A frame as RFC 6455 section 5.2 has it; masked at random unless a mask is given, which may
    be empty."""
    mask = os.urandom(4) if mask is None else mask
    first = opcode | (0x80 if last else 0)
    flag = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 1 << 16:
        head = bytes([first, flag | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, flag | 127]) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


def payloads(pieces: list[bytes]) -> list[tuple[int, bytes]]:
    """What is read of a stream, what belongs together in one."""
    reader = FramePayloads()
    found: list[tuple[int, bytes]] = []
    for opcode, payload in (item for piece in pieces for item in reader.feed(piece)):
        if found and found[-1][0] == opcode:
            found[-1] = (opcode, found[-1][1] + payload)
        else:
            found.append((opcode, payload))
    return found


@given(st.data())
def test_payloads_are_read_however_they_are_split(data: st.DataObject) -> None:
    """Of every length form, masked or not, with control frames in between."""
    sizes = st.sampled_from([1, 3, 125, 126, 300, 70_000])
    wanted = []
    stream = b""
    for number in range(data.draw(st.integers(1, 4))):
        payload = os.urandom(data.draw(sizes))
        opcode = (1, 9, 0, 2)[number]
        wanted.append((opcode, payload))
        stream += frame(payload, opcode=opcode, mask=data.draw(st.sampled_from([None, b""])))
        stream += frame(b"")
    pieces = data.draw(st.composite(lambda draw: cut(draw, stream))())
    assert wanted == payloads(pieces)


def test_pings_are_about_the_connection() -> None:
    """Close, ping and pong are; text, binary and their continuation are not."""
    assert [False] * 3 + [True] * 3 == [is_control(code) for code in (0, 1, 2, 8, 9, 10)]
