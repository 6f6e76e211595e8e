"""What must not come back and what must not go out, in every part of an exchange.

How it is found stands in the tests of `engine`; here it is shown that every way is looked at.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import threading
from collections.abc import Callable

import pytest

from engine.test_frames import frame
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.engine.placeholder import Placeholder
from moat.engine.policy import Policy
from proxy.h2_support import H2Server, Heard, Peer, client, reply
from proxy.support import API, Client, Stream, World, eventually, get, post
from proxy.tape import Tape, head

KEY = "sk-real-7f3a9c1e5b2d8064"
SECRET = KEY.encode()
STARS = b"*" * len(SECRET)
OTHER = "other.example.com"
HELD = "moat-proxy-injected-openai-0a1b2c3d"
CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCH = head("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket")


@pytest.fixture(autouse=True)
def keys(request: pytest.FixtureRequest) -> None:
    """A key that is long enough to be one."""
    name = "h2_world" if "h2_world" in request.fixturenames else "world"
    found = request.getfixturevalue(name)
    (found[0] if isinstance(found, tuple) else found).keys.secrets["openai"] = KEY


# echoes


PACKED = gzip.compress(b"you are " + SECRET)
ECHOES = {
    "a-header": head("HTTP/1.1 200 OK", f"X-You: Bearer {KEY}", "Content-Length: 2") + b"ok",
    "the-name-of-a-header": head("HTTP/1.1 200 OK", f"X-{KEY}: 1", "Content-Length: 0"),
    "the-reason": head(f"HTTP/1.1 401 No {KEY}", "Content-Length: 0"),
    "a-body": head("HTTP/1.1 200 OK", f"Content-Length: {len(SECRET) + 2}") + b"<" + SECRET + b">",
    "chunks": head("HTTP/1.1 200 OK", CHUNKED)
    + b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (7, SECRET[:7], len(SECRET) - 7, SECRET[7:]),
    "trailers": head("HTTP/1.1 200 OK", CHUNKED) + b"0\r\nX-You: " + SECRET + b"\r\n\r\n",
    "gzip": head("HTTP/1.1 200 OK", "Content-Encoding: gzip", f"Content-Length: {len(PACKED)}")
    + PACKED,
    "base64": head("HTTP/1.1 200 OK", "Content-Length: 44")
    + base64.b64encode(b"moat:" + SECRET).ljust(44),
    "hints": head("HTTP/1.1 103 Early", f"Link: <{KEY}>")
    + head("HTTP/1.1 200 OK", "Content-Length: 0"),
}


@pytest.mark.attack
@pytest.mark.parametrize("where", ECHOES)
@pytest.mark.parametrize("cut", [False, True], ids=["at-once", "in-pieces"])
def test_a_secret_does_not_come_back(world: World, where: str, cut: bool) -> None:
    """Wherever the server puts it, and however it comes."""
    answer = ECHOES[where]
    begun = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        middle = len(answer) - 12 if cut else len(answer)
        stream.send(answer[:middle])
        if cut:
            begun.wait(0.2)
            stream.send(answer[middle:])
        world.server.serve(stream)

    world.server.script = script
    client = world.tunnel()
    client.send(get(more="Connection: close\r\n"))
    came = client.until(b"\r\n\r\n")
    begun.set()
    came += client.rest()
    assert came.startswith(b"HTTP/1.1 ")
    for part in (SECRET, base64.b64encode(b"moat:" + SECRET)[8:30], SECRET[8:]):
        assert part not in came
    assert b"*****" in came
    assert [f"Bearer {KEY}"] == world.server.requests[0].all("authorization")


@pytest.mark.attack
@pytest.mark.parametrize("where", ["data", "a header", "trailers"])
def test_a_secret_does_not_come_back_over_h2(h2_world: tuple[World, H2Server], where: str) -> None:
    """As over HTTP/1.1."""
    world, upstream = h2_world

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if where == "data":
            reply(peer, number, b"<" + SECRET + b">")
        elif where == "a header":
            reply(peer, number, b"ok", (b"x-you", SECRET))
        else:
            with peer.lock:
                peer.h2.send_headers(number, [(b":status", b"200")])
            peer.end(number, [(b"x-you", SECRET)])

    upstream.respond = respond
    heard = client(world).get()
    came = b"".join([heard.data, *[value for _, value in heard.heads[-1] + heard.trailers]])
    assert 200 == heard.status
    assert SECRET not in came
    assert STARS in came


def switched(world: World, script: Callable[[Stream], None], host: str = API) -> Client:
    """A WebSocket; its server goes on by a script."""

    def serve(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        stream.send(SWITCH)
        script(stream)

    world.server.script = serve
    client = world.tunnel(f"{host}:443")
    client.send(get(host=host, more=UPGRADE))
    assert 101 == client.head().status
    return client


@pytest.mark.attack
def test_a_secret_does_not_come_back_in_a_message(world: World) -> None:
    """Of a WebSocket, also over two frames."""
    said = b"\x01\x0a" + SECRET[:10] + b"\x80" + bytes([len(SECRET) - 10]) + SECRET[10:]
    client = switched(world, lambda stream: (stream.send(said), stream.is_closed())[0])
    assert said.replace(SECRET[:10], STARS[:10]).replace(SECRET[10:], STARS[10:]) == client.exactly(
        len(said)
    )


# placeholders


def hold(world: World) -> None:
    """Give the box a placeholder, and permit it to go elsewhere."""
    placeholders = (Placeholder("openai", HELD),)
    world.handed.session = dataclasses.replace(world.handed.session, placeholders=placeholders)


BODY = b"the key is " + HELD.encode() + b"!"
CARRIED = {
    "a-header": get(host=OTHER, more=f"X-Note: {HELD}\r\n"),
    "the-path": get(f"/{HELD}", OTHER),
    "a-body": post(BODY, OTHER),
    "chunks": head("POST / HTTP/1.1", f"Host: {OTHER}", CHUNKED)
    + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "gzip": post(gzip.compress(BODY), OTHER, more="Content-Encoding: gzip\r\n"),
}


@pytest.mark.attack
@pytest.mark.parametrize("where", CARRIED)
@pytest.mark.parametrize("cut", [False, True], ids=["at-once", "in-pieces"])
def test_a_placeholder_goes_nowhere_else(world: World, where: str, cut: bool) -> None:
    """Not as a whole; the client is told, and the alarm is in the trace."""
    hold(world)
    tape = Tape(world.server)
    client = world.tunnel(f"{OTHER}:443")
    request = CARRIED[where]
    if cut:
        client.send(request[:-20])
        eventually(lambda: bool(tape.heard and b"\r\n\r\n" in tape.heard[0]), 0.2)
        client.send(request[-20:])
    else:
        client.send(request)
    answer = client.answer()
    assert (403, "urn:moat:problem:placeholder-leak") == (answer.status, answer.problem["type"])
    assert not any(HELD.encode() in data for data in tape.heard)
    assert not any(message.whole for message in tape.requests())
    ((entry, _),) = world.trace(1)
    assert "openai" in (entry.alarm or "")


@pytest.mark.attack
@pytest.mark.parametrize("at_once", [False, True])
def test_no_trailers_stand_behind_a_body_that_is_watched(world: World, at_once: bool) -> None:
    """They would go by unseen."""
    hold(world)
    tape = Tape(world.server)
    client = world.tunnel(f"{OTHER}:443")
    client.send(head("POST / HTTP/1.1", f"Host: {OTHER}", CHUNKED) + b"1\r\n!\r\n")
    if not at_once:
        assert eventually(lambda: bool(tape.heard and tape.heard[0]))
    client.send(b"0\r\nX-Note: " + HELD.encode() + b"\r\n\r\n")
    assert 200 == client.answer().status
    assert tape.only().endswith(b"1\r\n!\r\n0\r\n\r\n")


@pytest.mark.attack
def test_a_placeholder_in_a_message_ends_the_connection(world: World) -> None:
    """Of a WebSocket to elsewhere; before it was sent whole."""
    hold(world)
    heard: list[bytes] = []
    over = threading.Event()

    def script(stream: Stream) -> None:
        stream.is_closed()
        heard.append(stream.buffer)
        over.set()

    client = switched(world, script, OTHER)
    said = frame(BODY)
    client.send(said)
    assert client.is_closed()
    assert over.wait(5)
    assert said not in heard[0]
    ((entry, _),) = world.trace(1)
    assert entry.alarm is not None


@pytest.mark.parametrize("where", ["a-header", "a-body", "chunks", "gzip"])
def test_a_placeholder_may_go_where_its_grant_is_for(world: World, where: str) -> None:
    """The twin; in a header of another name it is none of our business."""
    hold(world)
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(CARRIED[where].replace(OTHER.encode(), API.encode()))
    assert 200 == client.answer().status
    assert tape.requests()[0].whole


# who decides


def test_who_is_not_there_says_no(world: World) -> None:
    """Where policy asks a person and there is none to ask, nothing goes."""
    world.handed.session = dataclasses.replace(world.handed.session, policy=Policy(mode="ask"))
    assert 403 == world.tunnel().get().status
    assert world.untouched()


@pytest.mark.attack
@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_a_policy_that_changes_ends_what_it_refuses(world: World, down: bool) -> None:
    """In the middle of a body, whichever way it goes; both sides see a cut."""
    begun, cut = threading.Event(), threading.Event()

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        begun.set()
        if down:
            stream.send(head("HTTP/1.1 200 OK", "Content-Length: 100") + b"a")
        if stream.is_closed():
            cut.set()

    world.server.script = script
    client = world.tunnel()
    client.send(get() if down else post(bytes(100))[:-10])
    if down:
        assert 200 == client.head().status
    assert begun.wait(5)
    world.handed.session = dataclasses.replace(world.handed.session, policy=Policy())

    async def changed() -> None:
        world.proxy.session_changed()

    world.call(changed())
    assert client.is_closed()
    assert cut.wait(5)
    ((entry, _),) = world.trace(1)
    assert ("failed", "the policy of the run was changed") == (entry.outcome, entry.error)


# what is put in


PATTERN = HostPattern.parse(API)


@pytest.mark.attack
def test_what_is_stripped_is_stripped_whatever_the_kind(world: World) -> None:
    """Also where the secret goes into a query."""
    kind = Injection(
        "openai", PATTERN, kind="in-query", parameter="k", placeholder=HELD, strips=("Cookie",)
    )
    world.allow(API, inject=[kind])
    tape = Tape(world.server)
    assert 200 == world.tunnel().get(f"/?k={HELD}&k=mine", more="cookie: mine\r\n").status
    assert head(f"GET /?k={KEY} HTTP/1.1", f"Host: {API}") == tape.only()


@pytest.mark.attack
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_body_that_was_filled_has_no_length(world: World, chunked: bool) -> None:
    """Or what is too much of it would be the next request."""
    world.allow(API, inject=[Injection("openai", PATTERN, kind="in-body", placeholder=HELD)])
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(
        (CARRIED["chunks"] if chunked else post(BODY)).replace(OTHER.encode(), API.encode())
    )
    assert 200 == client.answer().status
    (message,) = tape.requests()
    assert ([], [b"chunked"]) == (
        message.all(b"content-length"),
        message.all(b"transfer-encoding"),
    )
    assert b"the key is " + SECRET + b"!" == message.body
