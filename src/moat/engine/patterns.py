"""Patterns of paths, as rules write them: `/repos/*/issues/**`.

`*` stands for any characters of one segment, and for at least one where it stands alone; `**`, as
a segment, for any number of segments, none included. Matching goes over a path once for each
segment of the pattern at most: nothing is tried again, so no path makes it slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import NamedTuple

from moat.engine.paths import canonical_path, fold, segments

_MAX_TEXT, _MAX_SEGMENTS = 1024, 64

# Of one segment: its text, what stands around its stars, or None for one star alone.
_Segment = str | tuple[str, ...] | None
_Piece = tuple[_Segment, ...]


class PathPattern(NamedTuple):
    """Which paths are meant; `pieces` are the segments of its text, cut at each `**`."""

    text: str
    pieces: tuple[_Piece, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, *, folding: bool = False) -> PathPattern:
        """Read a pattern as a person writes it. Raises ValueError with the reason.

        With `folding` it is for segments that went through `folded`.
        """
        if "?" in text:
            raise ValueError(f"{text!r}: a path is written without its query, which is not judged")
        if len(text) > _MAX_TEXT:
            raise ValueError(f"a path of a rule has {_MAX_TEXT} characters at most")
        try:
            path = canonical_path(text)
            segments(path)  # what it names must be what a path can be
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None
        # Taken apart before it is decoded: an encoded star is a star and stands for nothing.
        parts = path[1:].split("/")
        if len(parts) > _MAX_SEGMENTS:
            raise ValueError(f"a path of a rule has {_MAX_SEGMENTS} segments at most")
        if folding and len(parts) > 1 and not parts[-1]:
            parts.pop()
        pieces: list[list[_Segment]] = [[]]
        for part in parts:
            if part == "**":
                pieces.append([])
            elif "**" in part:
                raise ValueError(f"{text!r}: ** stands for whole segments, as in /a/**")
            else:
                pieces[-1].append(_segment(part, fold if folding else str))
        return cls(path, tuple(map(tuple, pieces)))

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether a path is meant; its segments are those `segments` gives."""
        first, *others = self.pieces
        if not others:
            return len(parts) == len(first) and _is_at(first, parts, 0)
        *middle, last = others
        place, end = len(first), len(parts) - len(last)
        if place > end or not _is_at(first, parts, 0) or not _is_at(last, parts, end):
            return False
        for piece in middle:
            # The first place that fits leaves the most for those that follow.
            while place + len(piece) <= end and not _is_at(piece, parts, place):
                place += 1
            place += len(piece)
            if place > end:
                return False
        return True

    def __str__(self) -> str:
        return self.text


def _segment(part: str, fold: Callable[[str], str]) -> _Segment:
    if part == "*":
        return None
    around = tuple(fold(segments("/" + text)[0]) for text in part.split("*"))
    return around if len(around) > 1 else around[0]


def _is_at(piece: _Piece, parts: Sequence[str], place: int) -> bool:
    for number, wanted in enumerate(piece, place):
        part = parts[number]
        if wanted is None:
            if not part:
                return False
        elif isinstance(wanted, str):
            if part != wanted:
                return False
        elif not _fits(wanted, part):
            return False
    return True


def _fits(around: tuple[str, ...], part: str) -> bool:
    """Whether a segment is these texts in their order, with anything between them."""
    first, *middle, last = around
    end = len(part) - len(last)
    place = len(first)
    if place > end or not part.startswith(first) or not part.endswith(last):
        return False
    for text in middle:
        place = part.find(text, place, end)
        if place < 0:
            return False
        place += len(text)
    return True
