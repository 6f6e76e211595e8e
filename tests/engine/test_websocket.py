"""What a server says over a WebSocket is looked through, and keeps its frames and their order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.core.secret import Secret
from moat.engine.spellings import Spellings
from moat.engine.transform import Refused
from moat.engine.websocket import FrameScrubber

KEY = b"sk-real-7f3a9c1e5b2d8064"
STARS = b"*" * len(KEY)
SPELLINGS = Spellings.of([Secret(KEY.decode())])
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((opcode | (0x80 if fin else 0),)) + length + payload


def read(data: bytes) -> Iterator[tuple[int, bytes]]:
    """First byte and payload of each frame."""
    at = 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size >= 126:
            start = at + (4 if size == 126 else 10)
            size = int.from_bytes(data[at + 2 : start], "big")
        yield data[at], data[start : start + size]
        at = start + size


def stream(pieces: list[bytes]) -> bytes:
    scrubber = FrameScrubber(SPELLINGS)
    return b"".join([*map(scrubber.feed, pieces), scrubber.finish()])


# Messages of fragments of a text with secrets in it, and what may come in between.
fragments = st.lists(
    st.sampled_from([b"", KEY, KEY[:7], KEY[7:], b" ", b"sk-", b"c2st", b"x" * 130, b"%73"]),
    min_size=1,
    max_size=5,
)
controls = st.lists(
    st.tuples(st.sampled_from([PING, PONG]), st.sampled_from([b"", b"sk-", KEY, b"ping"])),
    max_size=2,
)
frames = st.lists(st.tuples(fragments, controls), min_size=1, max_size=4)
messages = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), frames), max_size=4)


@given(messages, st.lists(st.integers(0, 3000), max_size=10))
def test_secrets_are_taken_out_of_messages_however_they_are_cut(
    said: list[tuple[int, list[tuple[list[bytes], list[tuple[int, bytes]]]]]], places: list[int]
) -> None:
    """Into frames by the server, into reads by the network: what is no secret stays where it is."""
    data = expected = b""
    for opcode, parts in said:
        payloads = [b"".join(payload) for payload, _ in parts]
        clean = b"".join(payloads).replace(KEY, STARS)
        for number, (payload, (_, between)) in enumerate(zip(payloads, parts, strict=True)):
            kind, fin = opcode if number == 0 else CONTINUATION, number == len(parts) - 1
            data += frame(payload, kind, fin=fin)
            expected += frame(clean[: len(payload)], kind, fin=fin)
            clean = clean[len(payload) :]
            for control, text in between:
                data += frame(text, control)
                expected += frame(text.replace(KEY, STARS), control)
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    assert expected == stream([data[a:b] for a, b in pairwise(edges)])


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_of_all_lengths_pass_byte_by_byte(size: int) -> None:
    """And what follows them does."""
    data = frame(b"y" * size, BINARY) + frame(b"next " + KEY)
    pieces = [data[at : at + 1] for at in range(20)] + [data[20:-40], data[-40:]]
    if len(data) < 60:
        pieces = [data[at : at + 1] for at in range(len(data))]
    assert data.replace(KEY, STARS) == stream(pieces)


def test_a_secret_in_two_frames_is_one() -> None:
    """Though a ping comes in between, which waits for it; each frame stays as long as it was."""
    scrubber = FrameScrubber(SPELLINGS)
    first = frame(b"you: " + KEY[:9], fin=False)
    assert first[:-9] == scrubber.feed(first)
    assert b"" == scrubber.feed(frame(b"?", PING))
    seen = scrubber.feed(frame(KEY[9:] + b"!", CONTINUATION))
    assert [(PING | 0x80, b"?"), (CONTINUATION | 0x80, STARS[9:] + b"!")] == list(read(seen[9:]))
    assert STARS[:9] == seen[:9]


def test_a_message_that_is_over_goes_on_at_once() -> None:
    """Whatever it ends with; the next one has no part in it."""
    scrubber = FrameScrubber(SPELLINGS)
    for payload in (b"", b"{}", b"a delta", KEY[:9], KEY[9:]):
        assert frame(payload) == scrubber.feed(frame(payload))


def test_a_piece_of_a_frame_goes_on_as_it_comes() -> None:
    """A long one is not waited for."""
    scrubber = FrameScrubber(SPELLINGS)
    data = frame(b"a long text. " * 1000)
    assert data[:5000] == scrubber.feed(data[:5000])
    assert data[5000:] == scrubber.feed(data[5000:])


def test_a_close_is_looked_through() -> None:
    """Its reason is text, too."""
    assert frame(b"\x03\xe8bad " + STARS, CLOSE) == stream([frame(b"\x03\xe8bad " + KEY, CLOSE)])


def test_an_end_in_the_middle_is_one() -> None:
    """What was held back of a payload goes on; half a head does not."""
    data = frame(b"you: " + KEY)
    assert data[:-5] == stream([data[:-5]])
    assert b"" == stream([data[:1]])
    assert b"" == stream([frame(KEY, PING)[:-1]])


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("extension", bytes((0xC1,)) + frame(b"compressed")[1:]),
        ("extension", bytes((0xA1,)) + frame(b"")[1:]),
        ("extension", bytes((0x90 | PING,)) + frame(b"")[1:]),
        ("masked", b"\x81\x83abcdefg"),
        ("unknown", frame(b"", 0x3)),
        ("unknown", frame(b"", 0xB)),
        ("control", frame(b"", PING, fin=False)),
        ("control", frame(b"a" * 126, PING)),
        ("follow", frame(b"a", CONTINUATION)),
        ("follow", frame(b"a", fin=False) + frame(b"b")),
        ("longer", b"\x82\x7f" + b"\xff" * 8),
    ],
)
def test_what_cannot_be_looked_through_is_refused(what: str, data: bytes) -> None:
    """Compressed, masked, or in an order that clients could read differently."""
    with pytest.raises(Refused, match=what) as refused:
        stream([data])
    assert "answer-websocket" == refused.value.problem.kind
