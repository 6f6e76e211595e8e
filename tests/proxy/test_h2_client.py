"""Clients that speak HTTP/2: what of their requests is refused, and what they get."""

from __future__ import annotations

import random
import threading

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
)

from moat.engine.exchange import Entry
from moat.proxy import h2_client, live, server
from proxy.h2_support import H2Server, Heard, Pairs, Peer, asked, client, reply
from proxy.support import API, World, eventually

H2World = tuple[World, H2Server]


def without(name: bytes) -> Pairs:
    """The pseudo-headers of a request less one."""
    return [pair for pair in asked() if pair[0] != name]


def changed(name: bytes, value: bytes) -> Pairs:
    """The pseudo-headers of a request with one changed."""
    return [(key, value if key == name else old) for key, old in asked()]


# requests


def test_a_request_goes_on_with_the_key_and_is_recorded(h2_world: H2World) -> None:
    """Over HTTP/2 on both sides, and as over HTTP/1.1."""
    world, upstream = h2_world
    heard = client(world).get("/v1?x=1", (b"x-a", b"1"), (b"authorization", b"Bearer dummy"))
    assert (200, b"ok") == (heard.status, heard.data)
    assert upstream.asked == [
        [*asked("/v1?x=1"), (b"x-a", b"1"), (b"authorization", b"Bearer sk-real")]
    ]
    ((entry, measured),) = world.trace(1)
    assert (f"https://{API}/v1?x=1", "forwarded", 200) == (entry.url, entry.outcome, entry.status)
    assert (0, 2) == (measured.bytes_up, measured.bytes_down)
    assert "h2" == measured.protocol


def test_a_client_with_all_that_was_stated_got_its_answer(h2_world: H2World) -> None:
    """Some leave before the end of the stream; who leaves earlier was cut off."""
    world, upstream = h2_world
    for count, (length, outcome) in enumerate(((2, "forwarded"), (3, "failed")), 1):

        def respond(peer: Peer, number: int, _: Heard, length: int = length) -> None:
            said = [(b":status", b"200"), (b"content-length", b"%d" % length)]
            with peer.lock:
                peer.h2.send_headers(number, said)
            peer.send(number, b"ok")

        upstream.respond = respond
        peer = client(world)
        peer.ask()
        peer.until(lambda peer=peer: any(heard.data for heard in peer.streams.values()))  # type: ignore[misc]
        peer.stream.reset()
        assert outcome == world.trace(count)[-1][0].outcome


def test_a_client_that_speaks_both_is_given_http_1(world: World) -> None:
    """Which costs a fraction; whoever speaks one alone gets that one."""
    for offered, chosen in [
        (("h2", "http/1.1"), "http/1.1"),
        (("h2",), "h2"),
        (("http/1.1",), "http/1.1"),
    ]:
        tunnel = world.tunnel(alpn=offered)
        assert tunnel.sock.selected_alpn_protocol() == chosen


def test_a_client_may_speak_h2_whatever_was_agreed_on(h2_world: H2World) -> None:
    """Some do, that were told to speak nothing else."""
    world, _ = h2_world
    tunnel = world.tunnel(alpn=("http/1.1",))
    assert Peer(tunnel, client=True).get().status == 200


@pytest.mark.attack
def test_h2_in_the_clear_is_refused(world: World) -> None:
    """With prior knowledge, at the proxy or in a tunnel."""
    for tunnel in (world.client(), world.connect(f"{API}:80")):
        tunnel.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert tunnel.answer().status == 400
    assert world.untouched()


MALFORMED = {
    "no method": without(b":method"),
    "no path": without(b":path"),
    "no scheme": without(b":scheme"),
    "no authority": without(b":authority"),
    "a host instead of an authority": [*without(b":authority"), (b"host", API.encode())],
    "a pseudo-header twice": [*asked(), (b":path", b"/other")],
    "a pseudo-header behind a header": [*without(b":path"), (b"a", b"b"), (b":path", b"/")],
    "an unknown pseudo-header": [*asked(), (b":status", b"200")],
    "a protocol without CONNECT": [*asked(), (b":protocol", b"websocket")],
    "http": changed(b":scheme", b"http"),
    "a method with a space": changed(b":method", b"GET /x"),
    "an empty method": changed(b":method", b""),
    "an empty path": changed(b":path", b""),
    "a path that is none": changed(b":path", b"v1"),
    "an absolute path": changed(b":path", b"https://api.example.com/"),
    "a fragment": changed(b":path", b"/#x"),
    "a path with a space": changed(b":path", b"/ HTTP/1.1"),
    "a path with a line end": changed(b":path", b"/\r\nHost: other.example.com"),
    "a path that climbs": changed(b":path", b"/../%2e%2e/x\\..%5c"),
    "a capital in a name": [*asked(), (b"X-A", b"1")],
    "a space in a name": [*asked(), (b"x a", b"1")],
    "a colon in a name": [*asked(), (b"x:a", b"1")],
    "an empty name": [*asked(), (b"", b"1")],
    "a line end in a value": [*asked(), (b"x-a", b"1\r\nx-b: 2")],
    "a line feed in a value": [*asked(), (b"x-a", b"1\nx-b: 2")],
    "a NUL in a value": [*asked(), (b"x-a", b"1\0")],
    "a blank before a value": [*asked(), (b"x-a", b" 1")],
    "a blank behind a value": [*asked(), (b"x-a", b"1\t")],
    "connection": [*asked(), (b"connection", b"close")],
    "keep-alive": [*asked(), (b"keep-alive", b"1")],
    "proxy-connection": [*asked(), (b"proxy-connection", b"close")],
    "transfer-encoding": [*asked(), (b"transfer-encoding", b"chunked")],
    "upgrade": [*asked(), (b"upgrade", b"websocket")],
    "te of something else": [*asked(), (b"te", b"gzip")],
    "two hosts": [*asked(), (b"host", API.encode()), (b"host", API.encode())],
    "two lengths": [*asked(), (b"content-length", b"0"), (b"content-length", b"0")],
    "a length without a body": [*asked(), (b"content-length", b"5")],
    "user information": changed(b":authority", b"api.example.com@other.example.com"),
}


@pytest.mark.attack
@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_refused_by_itself(h2_world: H2World, what: str) -> None:
    """It is answered and recorded, and the streams beside it go on."""
    world, upstream = h2_world
    peer = client(world)
    assert peer.answer(peer.ask_with(MALFORMED[what])).status == 400
    assert not upstream.heard
    ((entry, _),) = world.trace(1)
    assert ("refused", 400) == (entry.outcome, entry.status)
    assert peer.get().status == 200


@pytest.mark.attack
@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("other.example.com", None),
        (f"{API}:8443", None),
        (API, "other.example.com"),
        (API, f"{API}:8443"),
    ],
)
def test_fronting_is_refused(h2_world: H2World, authority: str, host: str | None) -> None:
    """`:authority`, and a Host beside it, must name what the tunnel was opened for."""
    world, upstream = h2_world
    more = [(b"host", host.encode())] if host else []
    heard = client(world).get("/", *more, authority=authority)
    assert heard.status == 421
    assert not upstream.heard
    ((entry, _),) = world.trace(1)
    assert ("refused", 421) == (entry.outcome, entry.status)


@pytest.mark.parametrize(
    ("authority", "host"),
    [(f"{API}:443", None), (API.upper(), None), (API, f"{API}:443"), (f"{API}.", API)],
)
def test_other_spellings_of_the_same_place_are_not_fronting(
    h2_world: H2World, authority: str, host: str | None
) -> None:
    """The upstream gets one of them, and no Host beside it."""
    world, upstream = h2_world
    more = [(b"host", host.encode())] if host else []
    assert client(world).get("/", *more, authority=authority).status == 200
    assert [[API.encode()]] == list(upstream.of(b":authority"))
    assert [[]] == list(upstream.of(b"host"))


@pytest.mark.attack
def test_a_connect_is_refused(h2_world: H2World) -> None:
    """It would be a tunnel whose requests nobody sees."""
    world, upstream = h2_world
    peer = client(world)
    fields = [(b":method", b"CONNECT"), (b":authority", b"other.example.com:443")]
    assert peer.answer(peer.ask_with(fields, end=False)).status == 421
    other = [*changed(b":method", b"CONNECT"), (b":protocol", b"connect-udp")]
    assert peer.answer(peer.ask_with(other, end=False)).status == 501
    assert not upstream.heard


def test_what_is_refused_by_policy_is_answered(h2_world: H2World) -> None:
    """With a problem a client can read, and without asking anybody."""
    world, upstream = h2_world
    world.allow("other.example.com")
    heard = client(world).get("/x")
    assert (403, b"application/problem+json") == (heard.status, heard.headers[b"content-type"])
    assert b"refused-by-policy" in heard.data
    assert not upstream.connections
    assert client(world).get("/x", method="HEAD").data == b""


def test_cookies_come_as_one(h2_world: H2World) -> None:
    """A client may send them in crumbs, which only HTTP/2 knows."""
    world, upstream = h2_world
    world.allow(API, inject=())
    client(world).get("/", (b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"))
    assert [[b"a=1; b=2"]] == list(upstream.of(b"cookie"))


def test_headers_of_one_connection_stay_on_it(h2_world: H2World) -> None:
    """And `te: trailers`, which says what the client's side can do, goes on to its kind."""
    world, upstream = h2_world
    client(world).get("/", (b"proxy-authorization", b"Basic eA=="), (b"te", b"trailers"))
    assert [[]] == list(upstream.of(b"proxy-authorization"))
    assert [[b"trailers"]] == list(upstream.of(b"te"))


@pytest.mark.attack
def test_a_credential_is_never_indexed(h2_world: H2World) -> None:
    """Guesses on the same connection must not be able to be compared with it."""
    world, upstream = h2_world
    client(world).get("/secret", (b"x-api-token", b"t"), (b"accept", b"text/html"))
    assert eventually(lambda: bool(upstream.asked))
    assert upstream.table() == {b":authority": API.encode(), b"accept": b"text/html"}


# limits of a head


@pytest.mark.attack
def test_a_head_too_large_ends_the_connection(h2_world: H2World) -> None:
    """The compression of headers cannot go on over what was not read."""
    world, upstream = h2_world
    peer = client(world)
    peer.ask("/", *[(b"x-%d" % n, b"v" * 8000) for n in range(9)])
    peer.until(lambda: peer.goaway is not None)
    assert peer.goaway == ErrorCodes.ENHANCE_YOUR_CALM
    assert peer.is_ended()
    assert not upstream.heard
    ((entry, _),) = world.trace(1)
    assert ("refused", 431) == (entry.outcome, entry.status)


def test_a_head_of_nearly_that_is_taken(h2_world: H2World) -> None:
    """In more than one frame."""
    world, upstream = h2_world
    more = [(b"x-%d" % n, b"v" * 8000) for n in range(7)]
    assert client(world).get("/", *more).status == 200
    assert upstream.asked[0][4:11] == more


@pytest.mark.attack
def test_a_head_that_grows_out_of_a_table_is_refused(h2_world: H2World) -> None:
    """A byte for each of many large headers, which were sent once."""
    world, upstream = h2_world
    peer = client(world)
    bomb = (b"x-bomb", b"v" * 4000)
    peer.ask("/", *[bomb] * 60)
    peer.until(lambda: peer.goaway is not None)
    assert peer.goaway == ErrorCodes.ENHANCE_YOUR_CALM
    assert not upstream.heard


@pytest.mark.attack
def test_too_many_headers_are_refused(h2_world: H2World) -> None:
    """Short ones count too."""
    world, _ = h2_world
    peer = client(world)
    assert peer.get("/", *[(b"a", b"")] * 600).status == 431
    assert peer.get("/", *[(b"a", b"")] * 400).status == 200


@pytest.mark.attack
@pytest.mark.parametrize("size", [0, 100, 16000])
def test_continuations_do_not_go_on_for_ever(h2_world: H2World, size: int) -> None:
    """Of whatever size, also of none."""
    world, _ = h2_world
    peer = client(world)
    peer.raw(HeadersFrame(1, b"\0" * size, flags=["END_STREAM"]))
    for _ in range(100):
        peer.raw(ContinuationFrame(1, b"\0" * size))
    peer.until(lambda: peer.goaway is not None)
    assert peer.goaway == ErrorCodes.ENHANCE_YOUR_CALM
    assert peer.is_ended()


@pytest.mark.attack
def test_frames_too_large_are_refused_before_they_come(h2_world: H2World) -> None:
    """What they announce is not waited for."""
    world, _ = h2_world
    peer = client(world)
    peer.flush()
    peer.stream.send(b"\xff\xff\xff\0\0\0\0\0\1")
    peer.until(lambda: peer.goaway is not None)
    assert peer.is_ended()


# floods


def flood(peer: Peer, raw: bytes) -> None:
    """Send something a hundred times, and see the connection end."""
    try:
        for _ in range(100):
            peer.stream.send(raw)
    except OSError:
        pass
    assert peer.is_ended()


@pytest.mark.attack
@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, b"12345678"),
        SettingsFrame(0),
        PriorityFrame(1, depends_on=3),
        DataFrame(1),
        RstStreamFrame(1, 8),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_flood_ends_the_connection(h2_world: H2World, frame: object) -> None:
    """Frames that cost the sender nothing, and bring nothing any further."""
    world, _ = h2_world
    peer = client(world)
    peer.ask(method="POST", end=False)
    raw = frame.serialize() * 100  # type: ignore[attr-defined]
    flood(peer, raw)
    assert peer.goaway in (ErrorCodes.ENHANCE_YOUR_CALM, None)
    assert any("too many" in (entry.error or "") for entry, _ in world.trace(2))


@pytest.mark.attack
def test_a_client_does_not_say_how_much_we_remember(h2_world: H2World) -> None:
    """The table our compression keeps could be as large as it likes."""
    world, upstream = h2_world
    upstream.respond = lambda peer, number, heard: reply(
        peer, number, b"", (b"x-a", b"%d" % number * 1000)
    )
    peer = client(world, settings={SettingCodes.HEADER_TABLE_SIZE: 2**20})
    peer.h2.decoder.max_allowed_table_size = 2**20
    for _ in range(10):
        assert peer.get().status == 200
    assert peer.h2.decoder.header_table.maxsize == 4096
    assert client(world, settings={SettingCodes.HEADER_TABLE_SIZE: 0}).get().status == 200


def test_some_of_each_are_taken(h2_world: H2World) -> None:
    """Who asks now and then whether we are there is answered."""
    world, _ = h2_world
    peer = client(world)
    for _ in range(200):
        peer.raw(PingFrame(0, b"12345678"), SettingsFrame(0), PriorityFrame(1, depends_on=3))
    peer.until(lambda: peer.pings == 200)
    assert peer.get().status == 200


@pytest.mark.attack
def test_streams_given_up_at_once_end_the_connection(h2_world: H2World) -> None:
    """Rapid reset: each would be an exchange with an upstream."""
    world, upstream = h2_world
    peer = client(world)
    try:
        for _ in range(2000):
            number = peer.ask()
            peer.h2.reset_stream(number, ErrorCodes.CANCEL)
    except OSError:
        pass
    assert peer.is_ended()
    assert peer.goaway in (ErrorCodes.ENHANCE_YOUR_CALM, None)
    assert eventually(lambda: world.handed.streams == 0)
    assert len(upstream.asked) < 400


def test_a_hundred_streams_at_once(h2_world: H2World) -> None:
    """Each is an exchange of its own; one connection upstream carries them all."""
    world, upstream = h2_world
    go = threading.Event()

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        if len(upstream.asked) == 100:
            go.set()
            for waiting in list(peer.streams):
                reply(peer, waiting, peer.streams[waiting].headers[b":path"])

    upstream.respond = respond
    peer = client(world)
    numbers = {peer.ask(f"/{n}"): b"/%d" % n for n in range(100)}
    assert go.wait(10)
    assert {number: peer.answer(number).data for number in numbers} == numbers
    assert upstream.connections == 1
    assert len(world.trace(100)) == 100


@pytest.mark.attack
def test_streams_too_many_are_refused_by_themselves(h2_world: H2World) -> None:
    """They may be tried again; those before them go on."""
    world, upstream = h2_world
    go = threading.Event()

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        go.wait(10)
        reply(peer, number, b"ok")

    upstream.respond = respond
    peer = client(world)
    numbers = [peer.ask() for _ in range(105)]
    refused = [peer.answer(number).reset for number in numbers[100:]]
    assert refused == [ErrorCodes.REFUSED_STREAM] * 5
    go.set()
    assert [peer.answer(number).status for number in numbers[:100]] == [200] * 100
    outcomes = [entry.outcome for entry, _ in world.trace(105)]
    assert outcomes.count("refused") == 5
    assert peer.get().status == 200


@pytest.mark.attack
def test_a_run_has_a_limit_over_all_connections(
    h2_world: H2World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many connections of many streams each would be too many."""
    world, upstream = h2_world
    monkeypatch.setattr(h2_client, "MAX_OF_RUN", 10)
    go = threading.Event()

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        go.wait(10)
        reply(peer, number, b"ok")

    upstream.respond = respond
    peers = [client(world) for _ in range(2)]
    numbers = [(peer, peer.ask()) for peer in peers for _ in range(8)]
    assert eventually(lambda: len(refused(world)) == 6)
    go.set()
    resets = [peer.answer(number).reset for peer, number in numbers]
    assert resets.count(ErrorCodes.REFUSED_STREAM) == 6
    assert eventually(lambda: world.handed.streams == 0)
    assert peers[0].get().status == 200


def refused(world: World) -> list[Entry]:
    """What was recorded as refused so far."""
    last = [records[-1][0] for records in list(world.ledger.rows.values())]
    return [entry for entry in last if entry.outcome == "refused"]


# the connection


def test_a_client_that_is_going_gets_what_it_asked_for(h2_world: H2World) -> None:
    """And then the connection ends."""
    world, upstream = h2_world
    go = threading.Event()

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        go.wait(10)
        reply(peer, number, b"ok")

    upstream.respond = respond
    peer = client(world)
    number = peer.ask()
    peer.raw(GoAwayFrame(0, last_stream_id=0))
    go.set()
    assert peer.answer(number).status == 200
    assert peer.is_ended()


def test_a_client_with_nothing_going_on_is_let_go(
    h2_world: H2World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the time between two requests, and with a word; not while it waits for an answer."""
    world, upstream = h2_world
    monkeypatch.setattr(server, "IDLE_TIMEOUT", 0.3)
    monkeypatch.setattr(live, "TICK", 0.05)
    go = threading.Event()

    def respond(peer: Peer, number: int, heard: Heard) -> None:
        go.wait(1)
        reply(peer, number, b"ok")

    upstream.respond = respond
    peer = client(world)
    assert peer.get().status == 200
    assert peer.is_ended()
    assert peer.goaway == ErrorCodes.NO_ERROR


@pytest.mark.attack
@pytest.mark.parametrize("what", ["a preface", "a frame", "a block of headers"])
def test_who_never_finishes_a_head_is_let_go(
    h2_world: H2World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Slowloris, by any of its parts; pings beside it do not help."""
    world, _ = h2_world
    monkeypatch.setattr(server, "HEAD_TIMEOUT", 0.3)
    monkeypatch.setattr(live, "TICK", 0.05)
    if what == "a preface":
        tunnel = world.tunnel(alpn=("h2",))
        tunnel.send(b"PRI * HTTP")
        assert tunnel.is_closed()
        return
    peer = client(world)
    assert peer.get().status == 200
    if what == "a frame":
        peer.raw(PingFrame(0, b"12345678"))
        peer.stream.send(b"\0\0\x10\1\5\0\0")
    else:
        peer.raw(HeadersFrame(3, b"\x82", flags=["END_STREAM"]))
    assert peer.is_ended()


def test_a_tunnel_without_a_request_is_recorded(h2_world: H2World) -> None:
    """Whatever was said through it."""
    world, _ = h2_world
    peer = client(world)
    peer.raw(PingFrame(0, b"12345678"))
    peer.until(lambda: peer.pings == 1)
    peer.stream.close()
    ((entry, _),) = world.trace(1)
    assert ("CONNECT", "failed") == (entry.method, entry.outcome)
    assert "no request came" in (entry.error or "")


def test_what_cannot_be_recorded_is_not_forwarded(h2_world: H2World) -> None:
    """And no other request of the connection is taken on."""
    world, upstream = h2_world
    peer = client(world)
    assert peer.get().status == 200
    world.ledger.failing = True
    assert peer.get().status == 503
    peer.until(lambda: peer.goaway is not None)
    assert peer.is_ended()
    assert len(upstream.asked) == 1
    other = client(world)
    assert other.answer(other.ask_with(without(b":path"))).status == 503
    assert other.is_ended()


@pytest.mark.attack
def test_a_request_given_up_at_once_is_recorded(h2_world: H2World) -> None:
    """Also when it was before anything was done for it."""
    world, _ = h2_world
    peer = client(world)
    peer.get()
    number = peer.h2.get_next_available_stream_id()
    peer.h2.send_headers(number, asked("/given-up"), end_stream=True)
    peer.h2.reset_stream(number, ErrorCodes.CANCEL)
    peer.flush()
    (_, (entry, _)) = world.trace(2)
    assert (f"https://{API}/given-up", "failed") == (entry.url, entry.outcome)
    assert "went away" in (entry.error or "")
    assert world.handed.streams == 0


@pytest.mark.attack
def test_noise_ends_one_connection_and_nothing_else(
    h2_world: H2World, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames of any kind with anything in them, behind a request that is one."""
    world, _ = h2_world
    dice = random.Random(1)
    for _ in range(60):
        peer = client(world)
        number = peer.ask(method="POST", end=False)
        for _ in range(dice.randrange(1, 8)):
            payload = dice.randbytes(dice.choice([0, 1, 4, 5, 6, 8, 30]))
            kind, flags = dice.randrange(12), dice.randrange(64)
            stream = dice.choice([0, number, number + 2, 2, 2**31 - 1])
            head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
            peer.stream.send(head + stream.to_bytes(4, "big") + payload)
        peer.stream.close()
    assert client(world).get().status == 200
    assert eventually(lambda: world.handed.streams == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
