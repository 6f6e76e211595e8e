"""Content codings are undone as they come, within bounds, or the answer is refused."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from moat.engine.coding import Decoder, decoder_for
from moat.engine.transform import Refused

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def pack_br(data: bytes) -> bytes:
    return brotli.compress(data, quality=1)


CODED: dict[str, tuple[list[bytes], Callable[[bytes], bytes]]] = {
    "gzip": ([b"gzip"], gzip.compress),
    "x-gzip": ([b"x-gzip"], gzip.compress),
    "gzip, two members": (
        [b"gzip"],
        lambda data: gzip.compress(data[:5]) + gzip.compress(b"") + gzip.compress(data[5:]),
    ),
    "deflate": ([b"deflate"], zlib.compress),
    "deflate, raw": ([b"deflate"], raw_deflate),
    "br": ([b"br"], pack_br),
    "zstd": ([b"zstd"], zstandard.compress),
    "zstd, frames": (
        [b"zstd"],
        lambda data: (
            b"\x50\x2a\x4d\x18\x03\0\0\0abc"
            + zstandard.compress(data[:5])
            + zstandard.compress(b"")
            + zstandard.compress(data[5:])
        ),
    ),
    "gzip, br": ([b"gzip", b"br"], lambda data: pack_br(gzip.compress(data))),
    "none": ([], lambda data: data),
}  # fmt: skip
REALLY_CODED = [name for name in CODED if name != "none"]


def decoded(decoder: Decoder, pieces: list[bytes]) -> bytes:
    return b"".join([*map(decoder.feed, pieces), decoder.finish()])


@pytest.mark.parametrize("name", CODED)
@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 400), max_size=6))
def test_a_body_is_decoded_wherever_it_is_cut(name: str, data: bytes, places: list[int]) -> None:
    """All of it, and not a byte more."""
    codings, encode = CODED[name]
    body = encode(data)
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    assert data == decoded(decoder_for(codings), pieces)


@pytest.mark.parametrize("name", CODED)
def test_a_large_body_is_decoded(name: str) -> None:
    """More than any buffer holds; some of it packs well, and some not at all."""
    codings, encode = CODED[name]
    data = os.urandom(MIB) + b'{"a": 1}\n' * 100_000
    body = encode(data)
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    assert data == decoded(decoder_for(codings), pieces)


@pytest.mark.parametrize("name", CODED)
def test_a_body_of_nothing_is_nothing(name: str) -> None:
    """As servers send with Content-Length: 0."""
    assert b"" == decoded(decoder_for(CODED[name][0]), [b""])


def flushing(name: str) -> Callable[[bytes], bytes]:
    """An encoder that lets nothing wait."""
    if name == "br":
        br = brotli.Compressor()
        return lambda data: br.process(data) + br.flush()
    if name == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return lambda data: zstd.compress(data) + zstd.flush(block)
    packer = zlib.compressobj(wbits=31 if name == "gzip" else 15)
    return lambda data: packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_an_event_that_has_come_goes_on_at_once(name: str) -> None:
    """Though the body has not ended."""
    encode, decoder = flushing(name), decoder_for([name.encode()])
    for number in range(3):
        event = b"data: %d\n\n" % number
        assert event == decoder.feed(encode(event))


def bomb(name: str) -> bytes:
    """256 MiB or more, in at most some hundred KiB."""
    zeros = bytes(16 * MIB)
    if name == "zstd":  # blocks of one byte and how often it comes
        block = (1 << 1 | (128 * 1024) << 3).to_bytes(3, "little") + b"\0"
        return b"\x28\xb5\x2f\xfd\0\x68" + block * 2048
    if name == "br":
        packer = brotli.Compressor(quality=1)
        return b"".join(packer.process(zeros) for _ in range(16)) + packer.finish()
    if name == "gzip, gzip":
        return gzip.compress(bomb("gzip"))
    deflate = zlib.compressobj(wbits={"gzip": 31, "deflate": 15}[name])
    return b"".join(deflate.compress(zeros) for _ in range(16)) + deflate.flush()


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_a_bomb_is_refused_before_it_takes_room(name: str, step: int) -> None:
    """After no more than so much for each byte that came; nor is more made than goes on."""
    body = bomb(name)
    decoder = decoder_for([coding.strip().encode() for coding in name.split(",")])
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="unpacks to far more") as refused:
            check_bounds(decoder, pieces)
        assert tracemalloc.get_traced_memory()[1] < 150 * MIB
    finally:
        tracemalloc.stop()
    assert 502 == refused.value.problem.status
    assert "answer-encoding" == refused.value.problem.kind


def check_bounds(decoder: Decoder, pieces: list[bytes]) -> None:
    made = given = 0
    for piece in pieces:
        given += len(piece)
        made += len(decoder.feed(piece))
        assert made <= MIB + 200 * given


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_what_packs_well_is_no_bomb(name: str) -> None:
    """Small bodies may grow as they like."""
    data = bytes(MIB - 1)
    assert data == decoded(decoder_for([name.encode()]), [CODED[name][1](data)])


@pytest.mark.parametrize("name", REALLY_CODED)
def test_a_body_that_is_cut_is_refused(name: str) -> None:
    """What was decoded so far is right, but it is not all."""
    codings, encode = CODED[name]
    decoder = decoder_for(codings)
    decoder.feed(encode(b"an answer of some length")[:-1])
    with pytest.raises(Refused, match="ends before"):
        decoder.finish()


@pytest.mark.parametrize("name", REALLY_CODED)
def test_a_body_that_is_not_what_it_says_is_refused(name: str) -> None:
    """Plain text, as from a server that names a coding and does not code."""
    decoder = decoder_for(CODED[name][0])
    with pytest.raises(Refused):
        decoded(decoder, [b"\xff plain text sk-real-7f3a9c1e5b2d8064"])


@pytest.mark.parametrize("name", REALLY_CODED)
def test_what_follows_the_end_is_refused(name: str) -> None:
    """Some clients would take it for a part of the answer, and some would not."""
    codings, encode = CODED[name]
    for pieces in ([encode(b"all") + b"more"], [encode(b"all"), b"more"]):
        with pytest.raises(Refused):
            decoded(decoder_for(codings), pieces)


def test_only_what_may_come_in_parts_does() -> None:
    """A second body after the first is none of its parts."""
    for data in (zlib.compress(b"all"), raw_deflate(b"all")):
        with pytest.raises(Refused, match="after the end"):
            decoder_for([b"deflate"]).feed(data + data)


def test_a_window_that_takes_too_much_room_is_refused() -> None:
    """Of 16 MiB; one of 8 is what every decoder of zstd has."""

    def windowed(log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=log)
        return (
            zstandard.ZstdCompressor(compression_params=parameters)
            .compressobj()
            .compress(os.urandom(MIB))
        )

    assert decoder_for([b"zstd"]).feed(windowed(23))
    with pytest.raises(Refused, match="not coded as it says"):
        decoder_for([b"zstd"]).feed(windowed(24))


@pytest.mark.parametrize("coding", [b"compress", b"aws-chunked", b"dcb", b"\xe9", b"x"])
def test_a_coding_that_is_not_known_is_refused(coding: bytes) -> None:
    """Also beside one that is."""
    for codings in ([coding], [coding, b"gzip"], [b"gzip", coding]):
        with pytest.raises(Refused, match="cannot undo"):
            decoder_for(codings)


def test_what_is_coded_again_and_again_is_refused() -> None:
    """Three times is enough for anybody."""
    assert b"a" == decoded(
        decoder_for([b"gzip"] * 3), [gzip.compress(gzip.compress(gzip.compress(b"a")))]
    )
    with pytest.raises(Refused, match="4 times"):
        decoder_for([b"gzip"] * 4)
