"""Content codings undone as the body streams by (RFC 9110 section 8.4.1): gzip, deflate, br, zstd.

What is packed small can be huge: of one body no more is made than 1 MiB, and 200 bytes for each
that came. So one call makes at most about 1 MiB more than 200 times what it was given.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

from moat.engine.problem import Problem
from moat.engine.transform import Refused

_FREE = 1024 * 1024
_RATIO = 200
_MOST_CODINGS = 3

# RFC 8878 section 3.1.1.1.2: what a decoder should at least support, and RFC 9659 allows no more.
_ZSTD_WINDOW = 8 * 1024 * 1024
# The library does not bound what it makes of one input. Four bytes can become 128 KiB.
_ZSTD_STEP = 256

# What is left after each of many small members is copied: so it must not be much.
_INFLATE_STEP = 16 * 1024

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


def refused(detail: str) -> Refused:
    """An answer that cannot be looked through."""
    return Refused(Problem(status=502, kind="answer-encoding", detail=detail))


class _Coding(Protocol):
    """One coding of one body."""

    @property
    def ended(self) -> bool:
        """Whether the body may end here."""
        ...

    def decode(self, data: bytes, limit: int) -> bytes:
        """All that these bytes make, or more than `limit` bytes of it. Raises on what is bad."""
        ...


class _Inflate:
    """What zlib reads. `wbits` says which format; only gzip's may be several in a row."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner = zlib.decompressobj(wbits)
        self.ended = False

    def decode(self, data: bytes, limit: int) -> bytes:
        made: list[bytes] = []
        for start in range(0, len(data), _INFLATE_STEP):
            step = data[start : start + _INFLATE_STEP]
            while step and limit >= 0:
                if self._inner.eof:
                    if self._wbits != _GZIP:
                        raise ValueError("there is more after the end")
                    self._inner = zlib.decompressobj(self._wbits)
                made.append(self._inner.decompress(step, limit + 1))
                limit -= len(made[-1])
                step = self._inner.unused_data
        self.ended = self._inner.eof
        return b"".join(made)


class _Deflate:
    """RFC 1950 as it is meant, or RFC 1951 as some servers send it."""

    def __init__(self) -> None:
        self._first = b""
        self._inner: _Inflate | None = None

    @property
    def ended(self) -> bool:
        return self._inner is not None and self._inner.ended

    def decode(self, data: bytes, limit: int) -> bytes:
        if self._inner is None:
            data = self._first = self._first + data
            if len(data) < 2:
                return b""
            headed = data[0] & 0x8F == 0x08 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inner = _Inflate(_ZLIB if headed else _RAW)
        return self._inner.decode(data, limit)


class _Brotli:
    """RFC 7932, with windows of up to 16 MiB."""

    def __init__(self) -> None:
        import brotli  # here, as few answers come in it

        self._inner = brotli.Decompressor()
        self.ended = False

    def decode(self, data: bytes, limit: int) -> bytes:
        made: bytes = self._inner.process(data, output_buffer_limit=limit + 1)
        self.ended = self._inner.is_finished()
        return made


class _Zstd:
    """RFC 8878: frames in a row, the skippable ones too."""

    def __init__(self) -> None:
        import zstandard  # here, as few answers come in it

        self._frames = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._inner = self._frames.decompressobj()
        self.ended = False

    def decode(self, data: bytes, limit: int) -> bytes:
        made: list[bytes] = []
        for start in range(0, len(data), _ZSTD_STEP):
            step = data[start : start + _ZSTD_STEP]
            while step and limit >= 0:
                if self._inner.eof:
                    self._inner = self._frames.decompressobj()
                made.append(self._inner.decompress(step))
                limit -= len(made[-1])
                step = self._inner.unused_data
        self.ended = self._inner.eof
        return b"".join(made)


_CODINGS: dict[bytes, Callable[[], _Coding]] = {
    b"gzip": lambda: _Inflate(_GZIP),
    b"x-gzip": lambda: _Inflate(_GZIP),
    b"deflate": _Deflate,
    b"br": _Brotli,
    b"zstd": _Zstd,
}

DECODABLE = frozenset(_CODINGS)
"""The codings that can be undone, as they are named in headers, in lower case."""


class Decoder:
    """Undoes the codings of one body: a Transform. A body without a byte in it needs no undoing."""

    def __init__(self, codings: Sequence[_Coding]) -> None:
        self._codings = codings
        self._made = [0] * len(codings)
        self._received = 0

    def feed(self, data: bytes) -> bytes:
        """What the next bytes of the body make. Raises Refused."""
        self._received += len(data)
        allowed = _FREE + _RATIO * self._received
        for number, coding in enumerate(self._codings):
            try:
                data = coding.decode(data, allowed - self._made[number])
            except Exception as error:  # each library has errors of its own
                raise refused(f"the answer is not coded as it says: {error}") from error
            self._made[number] += len(data)
            if self._made[number] > allowed:
                raise refused("the answer unpacks to far more than it is")
        return data

    def finish(self) -> bytes:
        """Nothing more. Raises Refused when the body was cut."""
        if self._received and not all(coding.ended for coding in self._codings):
            raise refused("the answer ends before what is coded in it does")
        return b""


def decoder_for(codings: Sequence[bytes]) -> Decoder:
    """What undoes these codings, named in lower case in the order they were applied.

    Raises Refused for one that is not known.
    """
    unknown = [coding for coding in codings if coding not in DECODABLE]
    if unknown:
        raise refused("the answer comes in a coding that Moat cannot undo")
    if len(codings) > _MOST_CODINGS:
        raise refused(f"the answer is coded {len(codings)} times")
    return Decoder([_CODINGS[coding]() for coding in reversed(codings)])
