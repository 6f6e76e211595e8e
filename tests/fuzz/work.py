"""What the product does with bytes of others, each as a piece of work to be measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fuzz.effort import Work
from moat.core.hosts import Destination, HostPattern
from moat.core.secret import Secret
from moat.engine.clean import cleaner_for, prepare_request
from moat.engine.frames import FramePayloads
from moat.engine.hello import Incomplete, server_name
from moat.engine.leak import find_in_head, watch, watch_frames
from moat.engine.messages import Response
from moat.engine.paths import canonical_target, segments
from moat.engine.patterns import PathPattern
from moat.engine.placeholder import MARK, Placeholder
from moat.engine.policy import Policy, Rule
from moat.engine.session import RunSession
from moat.engine.substitute import Replacing
from moat.engine.transform import Refused
from moat.proxy import h1, h2_heads
from moat.proxy.frames import FrameScanner
from moat.proxy.h1 import BadMessage
from moat.proxy.h1_body import ChunkedBody
from moat.proxy.h2_frames import FrameReader
from moat.proxy.wire import Wire

KEY = "sk-real-7f3a9c1e5b2d8064/+_="
SECRETS = [Secret(KEY)]
HELD = f"sk-{MARK}-placeholder-{'0' * 40}"
SESSION = RunSession(
    "0123456789",
    Policy((Rule(HostPattern.parse("api.example.com"), "option"),)),
    placeholders=(Placeholder("openai", HELD),),
)
THERE = Destination("https", "api.example.com", 443)


def suffering(work: Callable[[], object], *errors: type[Exception]) -> Work:
    """Work that may also end in a refusal."""

    def done() -> None:
        try:
            work()
        except errors:
            pass

    return done


def head(raw: bytes) -> Work:
    return suffering(lambda: h1.request_framing(h1.parse_request(raw)), BadMessage)


def passed_on(raw: bytes) -> Work:
    def work() -> None:
        found = h1.parse_request(raw)
        request = found.request(THERE, found.target, h1.NO_BODY)
        find_in_head(request, SESSION)
        h1.render_request(prepare_request(request))

    return suffering(work, BadMessage)


def cleaned(raw: bytes) -> Work:
    def work() -> None:
        found = h1.parse_response(raw)
        cleaner_for(found.response(h1.NO_BODY), SECRETS)

    return suffering(work, BadMessage, Refused)


def dripped(raw: bytes) -> Work:
    """A head that comes byte by byte."""

    async def read() -> None:
        wire = Wire()
        reading = asyncio.ensure_future(h1.read_head(wire))
        for at in range(len(raw)):
            wire.data_received(raw[at : at + 1])
            await asyncio.sleep(0)
        await reading

    return suffering(lambda: asyncio.run(read()), BadMessage)


def chunks(raw: bytes, piece: int = 4096) -> Work:
    async def read() -> None:
        wire = Wire()
        body = ChunkedBody(wire)
        for at in range(0, len(raw), piece):
            wire.data_received(raw[at : at + piece])
            size = -1
            while wire.buffer and len(wire.buffer) != size and not body.ended:
                size = len(wire.buffer)
                body.take()

    return suffering(lambda: asyncio.run(read()), BadMessage)


def frames_of_h2(raw: bytes, piece: int = 16384) -> Work:
    def work() -> None:
        reader = FrameReader(preface=False)
        for at in range(0, len(raw), piece):
            for _ in reader.feed(raw[at : at + piece]):
                pass

    return suffering(work, BadMessage)


def h2_head(fields: Iterable[tuple[bytes, bytes]]) -> Work:
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"api.example.com")]
    given = [*pseudo, (b":path", b"/"), *fields]
    return suffering(lambda: h2_heads.parse_request(given, ended=True), BadMessage)


def fed(make: Callable[[], object], raw: bytes, piece: int | None = None) -> Work:
    """A Transform that is fed what the proxy feeds it at once, or less."""

    def work() -> None:
        transform = make()
        size = piece or getattr(transform, "piece", 16384)
        for at in range(0, len(raw), size):
            transform.feed(raw[at : at + size])  # type: ignore[attr-defined]
        transform.finish()  # type: ignore[attr-defined]

    return suffering(work, Refused)


def body_cleaner(raw: bytes, piece: int | None = None, coding: bytes = b"") -> Work:
    headers = ((b"Content-Encoding", coding),) if coding else ()

    def make() -> object:
        return cleaner_for(Response(200, headers, b"OK"), SECRETS)[1]

    return fed(make, raw, piece)


def socket_cleaner(raw: bytes, piece: int | None = None) -> Work:
    def make() -> object:
        return cleaner_for(Response(101, (), b"", "websocket"), SECRETS)[1]

    return fed(make, raw, piece)


def scan(raw: bytes, piece: int = 16384) -> Work:
    def work() -> None:
        scanner, payloads = FrameScanner(), FramePayloads()
        for at in range(0, len(raw), piece):
            scanner.scan(raw[at : at + piece])
            for _ in payloads.feed(raw[at : at + piece]):
                pass

    return work


def watched(raw: bytes, piece: int | None = None) -> Work:
    return fed(lambda: watch(SESSION, THERE), raw, piece)


def watched_frames(raw: bytes, piece: int | None = None) -> Work:
    return fed(lambda: watch_frames(SESSION, THERE), raw, piece)


def path(target: str) -> Work:
    def work() -> None:
        segments(canonical_target(target).partition("?")[0])

    return suffering(work, ValueError)


def matching(pattern: str, target: str) -> Work:
    found, parts = PathPattern.parse(pattern), target[1:].split("/")
    return lambda: found.matches(parts)


def replaced(raw: bytes, piece: int | None = None) -> Work:
    return fed(lambda: Replacing(HELD.encode(), b"secret"), raw, piece)


def hello(raw: bytes) -> Work:
    """A hello that comes in pieces, and is read again whenever more of it is there."""

    def work() -> None:
        size = 0
        while size < len(raw):
            try:
                server_name(raw[:size])
            except Incomplete as more:
                size = min(max(more.size, size + 1), len(raw))
            else:
                break
        server_name(raw)

    return suffering(work, ValueError, Incomplete)
