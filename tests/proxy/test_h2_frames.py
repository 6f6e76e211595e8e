"""Frames cut out of bytes, whatever pieces those come in; and what bounds them."""

from __future__ import annotations

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st

from moat.proxy.h1 import BadMessage
from moat.proxy.h2_frames import DATA, ENDS, PREFACE, Budget, FrameReader

FRAMES = st.lists(
    st.one_of(
        st.builds(lambda data: DataFrame(1, data), st.binary(max_size=50)),
        st.builds(
            lambda data, pad: DataFrame(3, data, pad_length=pad, flags=["PADDED", "END_STREAM"]),
            st.binary(max_size=50),
            st.integers(0, 20),
        ),
        st.just(PingFrame(0, b"12345678")),
        st.just(HeadersFrame(5, b"\x82", flags=["END_HEADERS"])),
    ),
    max_size=10,
)


@given(FRAMES, st.lists(st.integers(1, 30), max_size=40), st.booleans())
def test_frames_come_out_as_they_went_in(
    frames: list[DataFrame], cuts: list[int], preface: bool
) -> None:
    """Split at any byte."""
    wire = (PREFACE if preface else b"") + b"".join(frame.serialize() for frame in frames)
    reader = FrameReader(preface=preface)
    found = []
    for cut in [*cuts, len(wire)]:
        part, wire = wire[:cut], wire[cut:]
        found += list(reader.feed(part))
    assert [frame.raw for frame in found] == [frame.serialize() for frame in frames]
    assert not reader.unfinished
    for got, sent in zip(found, frames, strict=True):
        assert (got.kind, got.stream) == (sent.type, sent.stream_id)
        if got.kind == DATA:
            assert got.data_size == len(sent.data)
            ends = bool(got.flags & ENDS)
            assert got.is_idle == (not sent.data and not ends)


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/1.1\r\n", b"\0"])
def test_what_does_not_begin_as_h2_is_refused(raw: bytes) -> None:
    """At its first byte that differs."""
    with pytest.raises(BadMessage):
        list(FrameReader(preface=True).feed(raw))


def test_something_unfinished_is_known() -> None:
    """The preface, a frame, or a block of headers."""
    reader = FrameReader(preface=True)
    assert reader.unfinished
    list(reader.feed(PREFACE))
    assert not reader.unfinished
    list(reader.feed(HeadersFrame(1, b"\x82").serialize()))
    assert reader.unfinished
    assert reader.in_block
    list(reader.feed(ContinuationFrame(1, b"\x84", flags=["END_HEADERS"]).serialize()))
    assert not reader.unfinished
    list(reader.feed(b"\0\0\1"))
    assert reader.unfinished


def test_a_block_is_bounded_by_frames_and_bytes() -> None:
    """As long as it is one; the next begins anew."""
    whole = HeadersFrame(1, b"\0" * 16000, flags=["END_HEADERS"]).serialize()
    reader = FrameReader(preface=False)
    assert len(list(reader.feed(whole * 10))) == 10
    for part in (ContinuationFrame(1, b"\0" * 16000), ContinuationFrame(1, b"")):
        reader = FrameReader(preface=False)
        list(reader.feed(HeadersFrame(1, b"\0" * 16000).serialize()))
        with pytest.raises(BadMessage) as refused:
            list(reader.feed(part.serialize() * 20))
        assert refused.value.status == 431


def test_a_frame_too_large_is_refused_by_its_head() -> None:
    """What it announces is not waited for; the largest that is allowed is taken."""
    with pytest.raises(BadMessage):
        list(FrameReader(preface=False).feed(b"\0\x40\1\0\0\0\0\0\1"))
    (frame,) = FrameReader(preface=False).feed(DataFrame(1, b"x" * 16384).serialize())
    assert frame.size == 16384


def test_a_budget() -> None:
    """So many at once, so many a second, and never more than at once."""
    budget = Budget(3, 2.0, now=0.0)
    assert [budget.spend(0.0) for _ in range(4)] == [True, True, True, False]
    budget = Budget(3, 2.0, now=0.0)
    assert [budget.spend(100.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.spend(None)
    budget.earn(10)
    assert [budget.spend(None) for _ in range(4)] == [True, True, True, False]
