"""What the client of a WebSocket says."""

from __future__ import annotations

import pytest

from moat.proxy.frames import PING, PONG, FrameScanner, is_data

TEXT, CONTINUATION, CLOSE = 0x1, 0x0, 0x8


def frame(opcode: int, size: int, *, final: bool = True, masked: bool = True) -> bytes:
    """A frame as a client sends it; its payload looks like pings."""
    head = bytes([0x80 * final | opcode])
    mask = b"\x89\x00\x89\x00" if masked else b""
    bit = 0x80 * masked
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + size.to_bytes(2)
    else:
        head += bytes([bit | 127]) + size.to_bytes(8)
    return head + mask + b"\x89" * size


STREAM = [
    (TEXT, frame(TEXT, 0)),
    (PONG, frame(PONG, 125)),
    (TEXT, frame(TEXT, 126, final=False)),
    (PING, frame(PING, 3)),
    (CONTINUATION, frame(CONTINUATION, 65_536)),
    (PONG, frame(PONG, 0, masked=False)),
    (CLOSE, frame(CLOSE, 2)),
]


def test_every_frame_is_told_in_one_piece() -> None:
    """All opcodes of the bytes, and none twice."""
    whole = b"".join(data for _, data in STREAM)
    assert {opcode for opcode, _ in STREAM} == FrameScanner().scan(whole)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 126, 1000])
def test_frames_are_followed_wherever_they_are_split(step: int) -> None:
    """Each piece tells the frames it is part of, and nothing that only looks like one."""
    whole = b"".join(data for _, data in STREAM)
    owners = [opcode for opcode, data in STREAM for _ in data]
    scanner = FrameScanner()
    for start in range(0, len(whole), step):
        assert set(owners[start : start + step]) == scanner.scan(whole[start : start + step])


def test_nothing_tells_nothing() -> None:
    """No bytes, no frame."""
    assert set() == FrameScanner().scan(b"")


def test_messages_are_told_from_control() -> None:
    """The upper half of the opcodes is about the connection."""
    assert [0, 1, 2, 3, 7] == [code for code in (0, 1, 2, 3, 7, 8, 9, 10, 15) if is_data(code)]
