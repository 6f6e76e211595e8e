"""Frames come out as they went in, however the stream is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.run.control import (
    EXIT,
    HEADER,
    MAX_FRAME,
    STDIN_WINDOW,
    STDOUT,
    Deframer,
    ProtocolError,
    frame,
    message,
)

KINDS = st.binary(min_size=1, max_size=1)
FRAMES = st.lists(st.tuples(KINDS, st.binary(max_size=300)), max_size=8)


@given(FRAMES, st.lists(st.integers(1, 400)))
def test_where_the_stream_is_cut_does_not_matter(
    frames: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    """Any frames, cut anywhere, come out whole, in order, each as soon as it is complete."""
    stream = b"".join(frame(kind, payload) for kind, payload in frames)
    deframer, out, fed = Deframer(), [], 0
    ends = [sum(5 + len(p) for _, p in frames[: n + 1]) for n in range(len(frames))]
    for size in [*cuts, len(stream) + 1]:
        out += deframer.feed(stream[fed : fed + size])
        fed = min(fed + size, len(stream))
        assert sum(end <= fed for end in ends) == len(out)
    assert frames == out


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """What is no protocol raises ProtocolError and nothing else; cut apart it is the same."""

    def read(pieces: list[bytes]) -> list[object]:
        deframer, out = Deframer(), []
        try:
            for piece in pieces:
                out += deframer.feed(piece)
        except ProtocolError:
            out.append(ProtocolError)  # type: ignore[arg-type]
        return list(out)

    whole = read([data])
    bytewise = read([data[at : at + 1] for at in range(len(data))])
    assert whole == bytewise or ProtocolError in whole


def test_a_frame_that_is_too_large_is_refused_at_its_head() -> None:
    """Nobody waits for, or keeps, more than a frame may hold."""
    with pytest.raises(ProtocolError, match=f"a frame of {MAX_FRAME + 1} bytes"):
        list(Deframer().feed(HEADER.pack(STDOUT, MAX_FRAME + 1)))
    (whole,) = Deframer().feed(frame(STDOUT, bytes(MAX_FRAME)))
    assert (STDOUT, MAX_FRAME) == (whole[0], len(whole[1]))


def test_a_message_is_a_json_object() -> None:
    """Members come out as they went in, whatever text they hold."""
    members = {"code": 3, "error": 'a "quoted"\nline é \udcff', "hint": None}
    ((kind, payload),) = Deframer().feed(message(EXIT, **members))
    assert (EXIT, members) == (kind, json.loads(payload))


def test_input_fits_the_frames() -> None:
    """What a client may send ahead is never more than a frame may hold."""
    assert STDIN_WINDOW <= MAX_FRAME
