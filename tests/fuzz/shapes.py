"""Bytes of many shapes, each the worst there may be for one of those who read them."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import brotli
import zstandard

from engine.test_frames import frame
from engine.test_hello import extension, message, record
from fuzz.effort import Work
from fuzz.work import (
    HELD,
    KEY,
    SECRETS,
    body_cleaner,
    chunks,
    cleaned,
    dripped,
    fed,
    frames_of_h2,
    h2_head,
    head,
    hello,
    matching,
    passed_on,
    path,
    replaced,
    scan,
    socket_cleaner,
    suffering,
    watched,
    watched_frames,
)
from moat.core.redact import Values, printable, url
from moat.engine.accept import prefers_text
from moat.engine.dns import parse_query
from moat.engine.placeholder import MARK
from moat.engine.scrub import Scrubber, scrubbed
from moat.engine.spellings import Spellings
from moat.engine.substitute import in_query, in_value
from moat.engine.websocket import FrameScrubber
from moat.proxy.token import shows
from support.dns import query

SPELLINGS = Spellings.of(SECRETS)


@dataclass(frozen=True)
class Case:
    """Some work on input of a size. `steps` is the size at which steps are counted, `size` that at
    which time is taken; four times as much must still be within what is read at all."""

    name: str
    make: Callable[[int], Work]
    steps: int
    size: int


def server_frame(payload: bytes, opcode: int = 0, *, last: bool = False) -> bytes:
    return bytes((0x80 * last | opcode, len(payload))) + payload


def one_byte_frames(count: int, letter: bytes) -> bytes:
    """A message of a byte a frame."""
    return (
        server_frame(letter, 1) + server_frame(letter) * (count - 1) + server_frame(b"", last=True)
    )


def fields(lines: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: api.example.com\r\n" + lines + b"\r\n"


def status(lines: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n"


def percent(text: str) -> bytes:
    return b"".join([b"%%%02x" % byte for byte in text.encode()])


PACKED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.ZstdCompressor().compress,
}
HALF = KEY[: len(KEY) // 2].encode()
BASE64 = base64.b64encode(KEY.encode() * 30)

CASES = [
    # HTTP/1.1: what a head may have is 64 KiB
    Case("head of many lines", lambda n: head(fields(b"a: b\r\n" * n)), 200, 2500),
    Case("head of one line", lambda n: head(fields(b"a: " + b"b" * n + b"\r\n")), 4000, 15_000),
    Case("head of blanks", lambda n: head(fields(b"a:" + b" " * n + b"b\r\n")), 4000, 15_000),
    Case(
        "head of tabs before a fault",
        lambda n: head(fields(b"a:" + b"\t" * n + b"\0\r\n")),
        4000,
        15_000,
    ),
    Case("head of colons", lambda n: head(fields(b":" * n + b"\r\n")), 4000, 15_000),
    Case("head of CRs", lambda n: head(fields(b"a: b" + b"\r" * n + b"\r\n")), 4000, 15_000),
    Case("head of one name", lambda n: head(fields(b"a" * n + b"\r\n")), 4000, 15_000),
    Case("head of lengths", lambda n: head(fields(b"Content-Length: 5\r\n" * n)), 100, 700),
    Case(
        "head of Connection",
        lambda n: passed_on(fields(b"Connection: " + b"a," * n + b"\r\n")),
        500,
        7000,
    ),
    Case(
        "head of listed names",
        lambda n: passed_on(
            fields(
                b"Connection: "
                + b",".join([b"x%d" % i for i in range(n)])
                + b"\r\n"
                + b"".join([b"x%d: 1\r\n" % i for i in range(n)])
            )
        ),
        50,
        900,
    ),
    Case(
        "head passed on",
        lambda n: passed_on(fields(b"a_b: " + percent(MARK) + b"\r\n" * 1 + b"x: y\r\n" * n)),
        200,
        2500,
    ),
    Case(
        "head of codings",
        lambda n: passed_on(fields(b"Accept-Encoding: " + b"gzip;q=1," * n + b"\r\n")),
        200,
        1500,
    ),
    Case("head that drips", lambda n: dripped(fields(b"a: " + b"b" * n + b"\r\n")), 500, 4000),
    Case("lines that drip", lambda n: dripped(fields(b"a: b\r\n" * n)), 100, 700),
    Case(
        "answer with secrets", lambda n: cleaned(status(b"X: %b\r\n" % KEY.encode() * n)), 50, 400
    ),
    Case(
        "answer with escapes", lambda n: cleaned(status(b"X: " + b"%41" * n + b"\r\n")), 300, 5000
    ),
    Case(
        "answer with names of secrets",
        lambda n: cleaned(status(b"sk-real-7f3a9c1e5b2d8064: 1\r\n" * n)),
        50,
        400,
    ),
    Case("small chunks", lambda n: chunks(b"1\r\nx\r\n" * n), 500, 5000),
    Case("chunks that drip", lambda n: chunks(b"1\r\nx\r\n" * n, 1), 200, 1500),
    Case(
        "chunks with extensions",
        lambda n: chunks((b"1;" + b"a" * 4000 + b"\r\nx\r\n") * n),
        20,
        100,
    ),
    Case("chunk extension that drips", lambda n: chunks(b"1;" + b"a" * n, 1), 200, 1020),
    Case("trailers", lambda n: chunks(b"0\r\n" + b"a:\r\n" * n + b"\r\n"), 200, 2000),
    Case("Accept", lambda n: lambda: prefers_text("text/plain;q=0.1;" * n + ",a/b" * n), 200, 2000),
    Case("token", lambda n: lambda: shows([b"Basic " + b"a" * (4 * n)], SECRETS[0]), 2000, 15_000),
    # HTTP/2
    Case("small frames of HTTP/2", lambda n: frames_of_h2(b"\0\0\0\0\0\0\0\0\1" * n), 200, 3000),
    Case(
        "frames of HTTP/2 in one go",
        lambda n: frames_of_h2(b"\0\0\0\0\0\0\0\0\1" * n, 1 << 24),
        200,
        3000,
    ),
    Case(
        "frames of HTTP/2 that drip",
        lambda n: frames_of_h2(b"\0\0\7\0\0\0\0\0\1datadat" * n, 1),
        50,
        500,
    ),
    Case(
        "large frame of HTTP/2 that drips",
        lambda n: frames_of_h2(b"\0\x3f\xff\0\0\0\0\0\1" + bytes(n), 1),
        500,
        4000,
    ),
    Case("head of HTTP/2", lambda n: h2_head([(b"x-%d" % i, b"1") for i in range(n)]), 100, 1000),
    Case("cookies of HTTP/2", lambda n: h2_head([(b"cookie", b"a=b")] * n), 100, 2000),
    Case("hosts of HTTP/2", lambda n: h2_head([(b"host", b"api.example.com")] * n), 100, 1000),
    # other protocols
    Case(
        "hello of extensions",
        lambda n: hello(record(message([extension(1000 + i, b"") for i in range(n)]))),
        100,
        900,
    ),
    Case(
        "hello in records",
        lambda n: hello(
            b"".join(
                [
                    record(message([extension(21, bytes(16 * n))])[i * n : (i + 1) * n])
                    for i in range(20)
                ]
            )
        ),
        100,
        240,
    ),
    Case(
        "name of labels",
        lambda n: suffering(lambda: parse_query(query(b"\1a" * n + b"\0")), ValueError),
        30,
        150,
    ),
    # WebSocket
    Case("frames of a client", lambda n: scan(frame(b"a") * n), 200, 3000),
    Case("empty frames of a client", lambda n: scan(b"\x81\x80\0\0\0\0" * n), 200, 3000),
    Case("frames of a client that drip", lambda n: scan(frame(b"abc") * n, 1), 50, 500),
    Case(
        "a large frame of a client",
        lambda n: scan(frame(b"a" * n, mask=b""), 1024),
        20_000,
        2_000_000,
    ),
    Case(
        "frames with a placeholder begun",
        lambda n: watched_frames(b"".join([frame(HELD[:20].encode())] * n)),
        50,
        500,
    ),
    Case("frames of a byte, watched", lambda n: watched_frames(frame(b"s") * n), 100, 1000),
    Case(
        "frames of a server",
        lambda n: socket_cleaner(server_frame(b"hello there", 1, last=True) * n),
        100,
        1000,
    ),
    Case(
        "control frames",
        lambda n: socket_cleaner(server_frame(b"ping", 9, last=True) * n),
        100,
        1000,
    ),
    Case(
        "message of a byte a frame", lambda n: socket_cleaner(one_byte_frames(n, b"-")), 200, 2000
    ),
    Case(
        "message of a byte a frame, in one go",
        lambda n: socket_cleaner(one_byte_frames(n, b"-"), 1 << 24),
        200,
        8000,
    ),
    Case(
        "message of an escape's beginning",
        lambda n: socket_cleaner(one_byte_frames(n, b"%")),
        200,
        800,
    ),
    Case(
        "message of a secret's beginning",
        lambda n: socket_cleaner(one_byte_frames(n, b"s")),
        200,
        800,
    ),
    Case(
        "message of nothing",
        lambda n: socket_cleaner(server_frame(b"", 1) + server_frame(b"") * n),
        200,
        3000,
    ),
    Case(
        "nothing behind a beginning",
        lambda n: socket_cleaner(server_frame(HALF, 1) + server_frame(b"") * n),
        100,
        450,
    ),
    Case(
        "pings behind a beginning",
        lambda n: socket_cleaner(server_frame(HALF, 1) + server_frame(b"", 9, last=True) * n),
        100,
        900,
    ),
    Case(
        "pings behind a beginning, byte by byte",
        lambda n: socket_cleaner(server_frame(HALF, 1) + server_frame(b"", 9, last=True) * n, 2),
        100,
        900,
    ),
    # answers
    Case("body of escapes", lambda n: body_cleaner(b"%41" * n), 1000, 12_000),
    Case("body of escapes that drips", lambda n: body_cleaner(b"%41" * n, 1), 40, 200),
    Case("body of escaped characters", lambda n: body_cleaner(b"&#x41;" * n), 1000, 6000),
    Case("body of backslashes", lambda n: body_cleaner(b"\\u0041" * n), 1000, 6000),
    Case("body of percents", lambda n: body_cleaner(b"%" * n), 5000, 200_000),
    Case("body of ampersands", lambda n: body_cleaner(b"&#" * n), 5000, 100_000),
    Case("body of ends of lines", lambda n: body_cleaner(b"\r\n" * n), 5000, 100_000),
    Case("body of lines of base64", lambda n: body_cleaner((b"a" * 60 + b"\n") * n), 100, 1500),
    Case("body of lines of escapes", lambda n: body_cleaner((b"%41" * 20 + b"\n") * n), 50, 300),
    Case("body of one letter", lambda n: body_cleaner(b"s" * n), 5000, 400_000),
    Case("body of secrets", lambda n: body_cleaner(KEY.encode() * n), 100, 1500),
    Case("body of halves of a secret", lambda n: body_cleaner(HALF * n), 100, 5000),
    Case("body of escaped secrets", lambda n: body_cleaner(percent(KEY) * n), 20, 300),
    Case("body of secrets in base64", lambda n: body_cleaner(BASE64 * n), 20, 100),
    Case("body of halves that drips", lambda n: body_cleaner(HALF * n, 1), 20, 100),
    Case("value of escapes", lambda n: lambda: scrubbed(b"%41" * n, SPELLINGS), 1000, 5000),
    Case("value of secrets", lambda n: lambda: scrubbed(KEY.encode() * n, SPELLINGS), 100, 600),
    Case(
        "scrubbed in one go",
        lambda n: fed(lambda: Scrubber(SPELLINGS), b"%73k-" * n, 1 << 24),
        500,
        4000,
    ),
    Case(
        "frames scrubbed in one go",
        lambda n: fed(
            lambda: FrameScrubber(SPELLINGS), server_frame(b"%73k", 1, last=True) * n, 1 << 24
        ),
        50,
        500,
    ),
    # requests
    Case("body watched", lambda n: watched(b"moat-proxy-" * n), 500, 30_000),
    Case("body of escapes watched", lambda n: watched(b"%6d" * n), 1000, 30_000),
    Case("body watched that drips", lambda n: watched(b"moat-proxy-" * n, 1), 50, 500),
    Case("packed body watched", lambda n: watched(gzip.compress(b"moat-proxy-" * n)), 1000, 20_000),
    Case("replaced", lambda n: replaced(HELD[:40].encode() * n), 500, 20_000),
    Case("replaced where it drips", lambda n: replaced(HELD.encode() * n, 1), 10, 100),
    Case("replaced again and again", lambda n: replaced(HELD.encode() * n), 100, 5000),
    Case("query", lambda n: lambda: in_query("/?" + "a=b&" * n, "k", HELD, KEY), 200, 4000),
    Case(
        "query of its name",
        lambda n: lambda: in_query("/?" + f"%6b={HELD}&" * n, "k", HELD, KEY),
        50,
        300,
    ),
    Case(
        "Basic", lambda n: lambda: in_value(b"Basic " + b"a" * n, HELD.encode(), b"x"), 4000, 15_000
    ),
    Case(
        "Basic of blanks",
        lambda n: lambda: in_value(b"Basic " + b" " * n + b"=\0", HELD.encode(), b"x"),
        4000,
        15_000,
    ),
    # paths
    Case("path of escapes", lambda n: path("/" + "%41" * n), 1000, 5000),
    Case("path of segments", lambda n: path("/a" * n), 1000, 8000),
    Case("path of dots", lambda n: path("/..." * n + "%2e"), 1000, 4000),
    Case("path of slashes", lambda n: path("/" * n), 1000, 15_000),
    Case("path of foreign letters", lambda n: path("/%C3%A9" * n), 200, 2000),
    Case("path with a fault at its end", lambda n: path("/a.a" * n + "\\"), 1000, 4000),
    Case("path and query", lambda n: path("/a?" + "a" * n + "\\"), 1000, 15_000),
    Case(
        "pattern of stars", lambda n: matching("/" + "a*" * 400 + "b", "/" + "a" * n), 2000, 15_000
    ),
    Case(
        "pattern of two stars", lambda n: matching("/**/a/*/a/**/a/b/a/**/c", "/a" * n), 500, 4000
    ),
    Case(
        "pattern of many segments",
        lambda n: matching("/**" + "/a" * 30 + "/b/**", "/a" * n),
        200,
        1000,
    ),
    # what is recorded
    Case("address recorded", lambda n: lambda: url("https://x/?" + "a=b&" * n), 200, 4000),
    Case("address of users", lambda n: lambda: url("https://" + "a@" * n), 200, 8000),
    Case("text recorded", lambda n: lambda: printable("\0" * n), 500, 8000),
    Case("text masked", lambda n: lambda: Values([KEY]).mask(KEY[:-1] * n), 100, 2000),
]


def _bombs() -> list[Case]:
    found = []
    for name, pack in PACKED.items():
        coding = name.encode()
        found += [
            Case(
                f"{name} of nothing much",
                lambda n, pack=pack, coding=coding: body_cleaner(
                    pack(b"a" * 1000 * n), None, coding
                ),
                20,
                200,
            ),
            Case(
                f"{name} of escapes, that drips",
                lambda n, pack=pack, coding=coding: body_cleaner(pack(b"%41" * n), 1, coding),
                100,
                4000,
            ),
        ]
    for name in ("gzip", "zstd"):
        pack, coding = PACKED[name], name.encode()
        found.append(
            Case(
                f"{name} in many members",
                lambda n, pack=pack, coding=coding: body_cleaner(pack(b"a") * n, None, coding),
                50,
                800,
            )
        )
    two = gzip.compress
    found.append(
        Case(
            "gzip in gzip",
            lambda n: body_cleaner(two(two(struct.pack("!I", 7) * 250 * n)), None, b"gzip, gzip"),
            20,
            200,
        )
    )
    return found


CASES += _bombs()
