"""Streams of bytes in pieces, cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st


def pieces_of(data: bytes, size: int) -> list[bytes]:
    """Some bytes in pieces of this size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def splits(parts: Sequence[bytes]) -> st.SearchStrategy[list[bytes]]:
    """Streams made of these parts in any order, cut at any places."""

    @st.composite
    def stream(draw: st.DrawFn) -> list[bytes]:
        data = b"".join(draw(st.lists(st.sampled_from(parts), max_size=20)))
        return cut(draw, data)

    return stream()


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Some bytes, cut at places that are drawn."""
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
