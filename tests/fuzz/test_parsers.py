"""Whatever comes in: only the errors that are documented come out, and it makes no difference how
it was cut."""

from __future__ import annotations

import asyncio
import base64
import gzip
import struct
import zlib
from random import Random

import brotli
import zstandard

from engine.test_frames import frame
from engine.test_hello import extension, message, real_hello, record, sni
from fuzz import http, strict
from fuzz.cases import bitten, cut, noted, try_all
from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.coding import decoder_for
from moat.engine.dns import AAAA, A, parse_query, render_answer
from moat.engine.frames import FramePayloads
from moat.engine.hello import Incomplete, server_name
from moat.engine.names import Names
from moat.engine.paths import canonical_target, segments
from moat.engine.policy import Policy, Rule
from moat.engine.spellings import Spellings
from moat.engine.transform import Refused, Transform
from moat.engine.websocket import FrameScrubber
from moat.proxy import h1
from moat.proxy.frames import FrameScanner
from moat.proxy.h1 import BadMessage
from moat.proxy.h1_body import ChunkedBody
from moat.proxy.token import shows
from moat.proxy.wire import Wire
from support.dns import labels, query

KEY = "sk-real-7f3a9c1e5b2d8064"
SPELLINGS = Spellings.of([Secret(KEY)])


def through(transform: Transform, pieces: list[bytes]) -> bytes | None:
    """What comes out, None if it is refused at some place."""
    try:
        return b"".join([*map(transform.feed, pieces), transform.finish()])
    except Refused:
        return None


# HTTP/1.1


def test_heads() -> None:
    """What is taken for a request head, a strict reader takes for the same."""

    def one(rng: Random) -> None:
        raw = http.request(rng, inside=True, faults=rng.choice((0, 1, 2)))
        head = bitten(rng, raw, http.TOKENS).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        try:
            found = h1.parse_request(head)
            h1.request_framing(found)
        except BadMessage:
            return
        with noted("the head was", head):
            read = strict.head(head.replace(b" HTTP/1.0\r\n", b" HTTP/1.1\r\n", 1))
            assert (found.method.encode(), found.target.encode()) == read.first[:2]
            assert read.fields == list(found.headers)

    try_all(one, 5)


def test_status_heads() -> None:
    """And an answer's for an answer's."""

    def one(rng: Random) -> None:
        raw = http.answer(rng, faults=rng.choice((0, 1, 2)))
        head = bitten(rng, raw, http.TOKENS).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        try:
            found = h1.parse_response(head)
            h1.response_framing(found, "HEAD")
        except BadMessage:
            return
        with noted("the head was", head):
            read = strict.head(head.replace(b"HTTP/1.0 ", b"HTTP/1.1 ", 1), answers=True)
            assert (b"%d" % found.status, found.reason) == read.first[1:]
            assert read.fields == list(found.headers)

    try_all(one, 5)


def test_chunks() -> None:
    """What a strict reader takes is taken alike; of the rest, what is taken means the same however
    it is cut, and nothing behind its end is touched."""

    def taken(pieces: list[bytes]) -> tuple[bytes, list[tuple[bytes, bytes]], bytes] | None:
        async def read() -> tuple[bytes, list[tuple[bytes, bytes]], bytes] | None:
            wire, data = Wire(), b""
            body = ChunkedBody(wire)
            for piece in pieces:
                wire.data_received(piece)
                while (size := len(wire.buffer)) and not body.ended:
                    data += body.take()
                    if len(wire.buffer) == size:
                        break
            return (data, list(body.trailers), bytes(wire.buffer)) if body.ended else None

        try:
            return asyncio.run(read())
        except BadMessage:
            return None

    def one(rng: Random) -> None:
        raw = http.chunks(rng, fault=rng.random() < 0.3)
        raw = bitten(rng, raw, http.TOKENS) if rng.random() < 0.5 else raw
        behind = b"GET / HTTP/1.1\r\n"
        with noted("the body was", raw):
            found = taken([raw + behind])
            assert found == taken(cut(rng, raw + behind))
            try:
                head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                (read, *_) = strict.requests(head + raw + behind)
            except strict.Unsound:
                return
            if read.whole and all(name.startswith(b"X") for name, _ in read.trailers):
                assert found is not None
                assert (read.body, read.trailers) == found[:2]

    try_all(one, 0.5)


def test_targets() -> None:
    """A path has one spelling: to look at it again changes nothing."""
    parts = (
        *("/", ".", "..", "%2e", "%2F", "%2f", "%5c", "%00", "%25", "%252e", ";", "?", "#", "\\"),
        *("a", "B", "~", "%41", "%7e", "\xfc", "//", "\uff0f", "%c3%bc", "%ff"),
    )

    def one(rng: Random) -> None:
        target = "/" + "".join([rng.choice(parts) for _ in range(rng.randrange(9))])
        try:
            found = canonical_target(target)
        except ValueError:
            return
        with noted("the target was", target):
            assert found == canonical_target(found)
            assert found.isascii()
            try:
                segments(found.partition("?")[0])
            except ValueError:
                return

    try_all(one, 5)


def test_tokens() -> None:
    """Nothing but the token shows the token."""
    token = Secret("t0ken-of_this.run")
    right = {b"Bearer t0ken-of_this.run", b"Basic bW9hdDp0MGtlbi1vZl90aGlzLnJ1bg=="}

    def one(rng: Random) -> None:
        value = bitten(rng, rng.choice(sorted(right)))
        assert shows([value], token) or value not in right
        if shows([value], token):
            scheme, _, said = value.partition(b" ")
            assert scheme.lower() in (b"bearer", b"basic")
            basic = scheme.lower() == b"basic"
            plain = base64.b64decode(said) if basic else b":" + said.strip(b" ")
            assert plain.partition(b":")[2] == b"t0ken-of_this.run"

    try_all(one, 3)


# other protocols


def test_hellos() -> None:
    """A hello is read, is waited for, or is refused; never is more wanted than it says."""
    seeds = [real_hello("api.example.com"), record(message()), record(message(None))]
    seeds.append(record(message([extension(43, b"\x02\x03\x04"), sni(b"other.example.com")])))

    def outcome(data: bytes) -> str | None:
        try:
            return server_name(data)
        except Incomplete as more:
            return "incomplete" if more.size > len(data) else "wants what is there"
        except ValueError:
            return "refused"

    def one(rng: Random) -> None:
        data = bitten(rng, rng.choice(seeds))
        with noted("the hello was", data):
            found = outcome(data)
            # What was refused is not taken once more of it has come, nor read as another.
            for size in sorted(rng.sample(range(len(data) + 1), min(4, len(data)))):
                assert outcome(data[:size]) in ("incomplete", found)

    try_all(one, 3)


def test_questions() -> None:
    """Whatever is asked: one address at most, of a name that may be asked for, and none of ours."""
    policy = Policy((Rule(HostPattern.parse("api.example.com"), "option"),))
    asked = ["api.example.com", "API.EXAMPLE.COM", "evil.example", "a.b", ""]

    def one(rng: Random) -> None:
        names = Names()
        kind, flags = rng.choice((A, AAAA, 16, 255)), rng.choice((0x100, 0, 0x8000))
        raw = bitten(rng, query(labels(rng.choice(asked)), kind, flags=flags))
        with noted("the question was", raw):
            try:
                question = parse_query(raw)
            except ValueError:
                return
            found = names.answer(question, policy)
            reply = render_answer(question, found.code, found.address, seconds=found.seconds)
            assert raw[:2] == reply[:2]
            assert reply[2] & 0x80
            counts = struct.unpack("!4H", reply[4:12])
            assert counts in ((0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0))
            if counts[1]:
                assert b"\3api\7example\3com\0" in reply.lower()
                assert reply[-4:-2] == b"\xc6\x12" or reply[-16:-10] == b"\xfdMoat\0"

    try_all(one, 3)


def a_stream(rng: Random, *, masked: bool) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Frames of a WebSocket, and what is in them."""
    out, said = b"", []
    for _ in range(rng.randrange(1, 5)):
        noise = rng.randbytes(rng.choice((3, 130, 70_000)))
        payload = rng.choice((b"", b"hello", KEY.encode(), noise))
        opcode = rng.choice((1, 2, 2, 9, 10))
        payload = payload[:125] if opcode > 8 else payload
        out += frame(payload, opcode=opcode, mask=None if masked else b"")
        said.append((opcode, payload))
    return out, said


def test_messages_of_clients() -> None:
    """They are unmasked alike however they are cut; noise is followed without a word."""

    def joined(pieces: list[bytes]) -> list[tuple[int, bytes]]:
        reader = FramePayloads()
        return [found for piece in pieces for found in reader.feed(piece)]

    def one(rng: Random) -> None:
        raw, said = a_stream(rng, masked=True)
        pieces = cut(rng, raw)
        everything = b"".join([payload for _, payload in said])
        assert everything == b"".join([payload for _, payload in joined(pieces)])
        noise = bitten(rng, raw)
        assert b"".join([p for _, p in joined([noise])]) == b"".join(
            [p for _, p in joined(cut(rng, noise))]
        )
        one_go, many = FrameScanner(), FrameScanner()
        opcodes = set().union(*[many.scan(piece) for piece in cut(rng, noise)])
        assert one_go.scan(noise) == opcodes

    try_all(one)


def test_messages_of_servers() -> None:
    """They come as they are but for the secret, however they are cut; or they are refused."""

    def one(rng: Random) -> None:
        raw, _ = a_stream(rng, masked=False)
        assert raw.replace(KEY.encode(), b"*" * len(KEY)) == through(
            FrameScrubber(SPELLINGS), cut(rng, raw)
        )
        noise = bitten(rng, raw)
        found = through(FrameScrubber(SPELLINGS), [noise])
        with noted("the frames were", noise[:300]):
            assert found == through(FrameScrubber(SPELLINGS), cut(rng, noise))
            assert found is None or len(found) <= len(noise)

    try_all(one)


PACKERS = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.ZstdCompressor().compress,
}


def test_codings() -> None:
    """What was packed comes out; what is damaged is refused, or comes the same however it is
    cut."""

    def one(rng: Random) -> None:
        names = [rng.choice(sorted(PACKERS)) for _ in range(rng.choice((1, 1, 2)))]
        body = rng.choice((b"", b"hello", rng.randbytes(3000), b"a" * 100_000))
        packed = body
        for name in names:
            packed = PACKERS[name](packed)
        with noted("the codings were", names):
            assert body == through(decoder_for(names), cut(rng, packed))
            noise = bitten(rng, packed)
            found = through(decoder_for(names), [noise])
            assert found is None or len(found) <= (1 << 24) + 200 * len(noise)
            # Of a damaged end, zstd says that it is one or not by where it was cut.
            others = {found, through(decoder_for(names), cut(rng, noise))} - {None}
            assert len(others) <= 1

    try_all(one)
