"""Connections to upstream servers: resolved once, checked, dialled, verified, and pooled."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any

import pytest

from moat.errors import MoatError
from moat.pki.leaf import LeafCache
from moat.proxy import upstream
from moat.proxy.wire import Wire
from proxy.conftest import Certificates
from proxy.support import API, Server, Stream, World, eventually, get, post, reply

NAMED = "named.example.com"


class Names:
    """A resolver: what names lead to, and which were asked for."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []

    async def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.known[host]


@pytest.fixture
def names(world: World, monkeypatch: pytest.MonkeyPatch) -> Names:
    """The resolver, which is all that is pretended here."""
    names = Names()
    monkeypatch.setattr(upstream, "_look_up", names.look_up)
    world.allow(NAMED, f"{NAMED}:80", "*.example.org")
    return names


# pool


def test_connections_are_shared_by_all_clients(world: World) -> None:
    """One after the other, over different tunnels: one connection upstream."""
    for _ in range(3):
        assert world.tunnel().get().status == 200
    assert world.server.connections == 1


def test_two_at_once_take_two_connections(world: World) -> None:
    """One connection carries one exchange at a time."""
    go = threading.Event()

    def script(stream: Stream) -> None:
        while world.server.receive(stream):
            go.wait(5)
            stream.send(reply())

    world.server.script = script
    clients = [world.tunnel() for _ in range(2)]
    for client in clients:
        client.send(get())
    assert eventually(lambda: len(world.server.requests) == 2)
    go.set()
    assert [client.answer().status for client in clients] == [200, 200]
    assert world.server.connections == 2


def test_hosts_do_not_share_connections(world: World) -> None:
    """Though they lead to one address: a connection belongs to one destination."""
    assert world.tunnel().get().status == 200
    other = world.tunnel("other.example.com:443")
    assert other.get(host="other.example.com").status == 200
    assert world.server.connections == 2


def test_a_connection_the_server_closed_is_not_used(world: World) -> None:
    """Its end was seen in time: not even a request that must not be repeated is lost."""
    world.server.answers(reply(), close=True)
    client = world.tunnel()
    for number in range(1, 4):
        client.send(post(b"hello"))
        assert client.answer().status == 200
        assert world.server.connections == number
        assert eventually(lambda: all(each.ended for each in idle(world)))


def idle(world: World) -> list[Wire]:
    """The connections that wait for a request."""
    return [wire for idle in world.upstreams._idle.values() for wire, _ in idle]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_stale_connection_is_tried_again_where_that_is_safe(world: World, method: str) -> None:
    """A request that may be repeated gets a fresh connection, once."""
    stale_after_one(world)
    client = world.tunnel()
    assert client.get().status == 200
    client.send(get(method=method))
    assert client.answer(method).status == 200
    assert world.server.connections == 2
    assert [entry.outcome for entry, _ in world.trace(2)] == ["forwarded"] * 2


@pytest.mark.parametrize("raw", [post(b"hello"), get(method="POST"), get(method="DELETE")])
def test_a_stale_connection_is_not_tried_again_where_it_is_not(world: World, raw: bytes) -> None:
    """The server may have acted on it."""
    stale_after_one(world)
    client = world.tunnel()
    assert client.get().status == 200
    client.send(raw)
    assert client.answer().status == 502
    assert world.server.connections == 1


def test_a_fresh_connection_is_not_tried_again(world: World) -> None:
    """A server that never answers is asked once."""
    world.server.script = lambda stream: (world.server.receive(stream), stream.reset())[1]
    assert world.tunnel().get().status == 502
    assert world.server.connections == 1


def stale_after_one(world: World) -> None:
    """Make the first connection answer once, and hang up on the second request."""

    def script(stream: Stream) -> None:
        first = world.server.connections == 1
        world.server.receive(stream)
        stream.send(reply())
        if first:
            stream.until(b"\r\n\r\n")
            stream.reset()
        else:
            world.server.serve(stream)

    world.server.script = script


def test_idle_connections_do_not_stay_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are closed when their time is up, though nobody asks for the destination again."""
    monkeypatch.setattr(upstream, "IDLE_SECONDS", 0.2)
    closed = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        stream.send(reply())
        if stream.rest() == b"":
            closed.set()

    world.server.script = script
    assert world.tunnel().get().status == 200
    assert closed.wait(5)
    assert eventually(lambda: not world.upstreams._idle)


def test_only_so_many_idle_connections_are_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is closed."""
    monkeypatch.setattr(upstream, "IDLE_CONNECTIONS", 1)
    together = threading.Barrier(2)

    def script(stream: Stream) -> None:
        while world.server.receive(stream):
            together.wait(5)
            stream.send(reply())

    world.server.script = script
    clients = [world.tunnel() for _ in range(2)]
    for client in clients:
        client.send(get())
    assert [client.answer().status for client in clients] == [200, 200]
    world.trace(2)
    assert [len(idle) for idle in world.upstreams._idle.values()] == [1]


@pytest.mark.attack
def test_only_so_many_are_kept_of_all_hosts_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a box would hold one open for each name it can make up."""
    monkeypatch.setattr(upstream, "MOST_IDLE", 2)
    places = [f"localhost:{world.plain.port}", f"127.0.0.1:{world.plain.port}"]
    world.allow(API, *places)
    client = world.client()
    for place in (*places, *places):
        assert client.get(f"http://{place}/", place).status == 200
    assert 2 == len(idle(world)) == world.upstreams._kept
    assert world.tunnel().get().status == 200
    assert 2 == len(idle(world))
    for place in (*places, *places):
        assert client.get(f"http://{place}/", place).status == 200
    assert 2 == len(idle(world)) == world.upstreams._kept


# certificates


def test_an_unknown_certificate_is_refused_with_the_cure(world: World) -> None:
    """502 names the setting that takes a company's root; the request is not sent."""
    world.upstreams._context = ssl.create_default_context
    answer = world.tunnel().get()
    assert (502, "urn:moat:problem:upstream-certificate") == (
        answer.status,
        answer.problem["type"],
    )
    assert "upstream.ca_file" in answer.problem["detail"]
    assert world.untouched()
    ((entry, _),) = world.trace(1)
    assert ("failed", ()) == (entry.outcome, entry.grants)


@pytest.mark.parametrize("host", [API, "other.example.com", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(
    world: World, certificates: Certificates, host: str
) -> None:
    """Verified is the name that was asked for, wherever connect_to leads."""
    presented = "other.example.com" if host == API else API
    context = LeafCache(certificates.world).context_for(presented)
    context.sni_callback = None
    server = Server(context)
    try:
        world.upstreams._connect_to[host, 443] = ("127.0.0.1", server.port)
        answer = world.tunnel(f"{host}:443").get(host=host)
        assert answer.status == 502
        assert "certificate" in answer.problem["detail"]
        assert not server.heard
    finally:
        server.close()


def test_a_server_without_tls_is_refused(world: World) -> None:
    """Nothing of the request, least of all its credential, goes out in the clear."""
    world.plain.script = lambda stream: (stream.fill(), stream.send(b"HTTP/1.1 400 Bad\r\n\r\n"))[1]
    world.upstreams._connect_to[API, 443] = ("127.0.0.1", world.plain.port)
    answer = world.tunnel().get()
    assert (502, "urn:moat:problem:upstream-tls") == (answer.status, answer.problem["type"])
    assert world.untouched()


def test_roots_that_cannot_be_loaded_are_said(world: World) -> None:
    """502 with the reason."""

    def fail() -> Any:
        raise MoatError("the roots in /x cannot be loaded")

    world.upstreams._context = fail
    answer = world.tunnel().get()
    assert (502, "the roots in /x cannot be loaded") == (answer.status, answer.problem["detail"])
    assert world.untouched()


# addresses


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fd00:ec2::254"],
        ["fe80::1%2"],
        ["64:ff9b::7f00:1"],
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_inside_is_refused(
    world: World, names: Names, addresses: list[str], scheme: str
) -> None:
    """One address that is not public, and none of them is dialled."""
    names.known[NAMED] = addresses
    if scheme == "https":
        answer = world.tunnel(f"{NAMED}:443").get(host=NAMED)
    else:
        answer = world.client().get(f"http://{NAMED}/", NAMED)
    assert (403, "urn:moat:problem:address-refused") == (answer.status, answer.problem["type"])
    assert world.untouched()
    assert world.trace(1)[0][0].outcome == "failed"


def test_what_connect_to_names_may_be_anywhere(world: World) -> None:
    """The twin: the user's word, at a private address; the name is not even resolved."""
    assert world.tunnel().get().status == 200
    assert world.server.requests[0].all("host") == [API]


def test_a_name_below_a_pattern_may_not_lead_inside(world: World, names: Names) -> None:
    """Its owner could point it anywhere."""
    names.known["a.example.org"] = ["127.0.0.1"]
    answer = world.tunnel("a.example.org:443").get(host="a.example.org")
    assert answer.status == 403


def test_a_local_service_may_be_named_on_purpose(world: World, names: Names) -> None:
    """localhost, allowed by name, is dialled where it leads."""
    names.known["localhost"] = ["127.0.0.1"]
    world.allow(f"localhost:{world.plain.port}", f"127.0.0.1:{world.plain.port}")
    for host in ("localhost", "127.0.0.1"):
        authority = f"{host}:{world.plain.port}"
        assert world.client().get(f"http://{authority}/", authority).status == 200


@pytest.mark.parametrize("detail", ["cannot be resolved", "has no address"])
def test_a_name_that_does_not_resolve_is_said(world: World, names: Names, detail: str) -> None:
    """502 with the resolver's reason."""
    if detail == "has no address":
        names.known[NAMED] = []
    answer = world.tunnel(f"{NAMED}:443").get(host=NAMED)
    assert (502, "urn:moat:problem:name-not-found") == (answer.status, answer.problem["type"])
    assert detail in answer.problem["detail"]


def test_a_name_is_resolved_once_for_check_and_dial(world: World, names: Names) -> None:
    """What was checked is what is dialled: a second answer could differ, so none is asked for."""
    names.known["localhost"] = ["127.0.0.1"]
    authority = f"localhost:{world.plain.port}"
    world.allow(authority)
    assert world.client().get(f"http://{authority}/", authority).status == 200
    assert names.asked == ["localhost"]


def test_a_real_name_is_resolved(world: World) -> None:
    """Without pretending: localhost is this machine."""
    authority = f"localhost:{world.plain.port}"
    world.allow(authority)
    assert world.client().get(f"http://{authority}/", authority).status == 200


@pytest.mark.parametrize("url", ["https://evil.example/", "https://127.0.0.1:1/"])
def test_a_refused_name_is_not_even_resolved(world: World, names: Names, url: str) -> None:
    """A question to a resolver is a message, too."""
    authority = url.split("/")[2]
    host = authority if ":" in authority else f"{authority}:443"
    assert world.tunnel(host).get(host=authority).status == 403
    assert names.asked == []


# time


def test_a_server_that_does_not_shake_hands_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 after the time limit, and its connection is closed."""
    monkeypatch.setattr(upstream, "CONNECT_TIMEOUT", 0.2)
    closed = threading.Event()
    world.plain.script = lambda stream: (stream.fill(), stream.is_closed() and closed.set())[0]
    world.upstreams._connect_to[API, 443] = ("127.0.0.1", world.plain.port)
    answer = world.tunnel().get()
    assert (504, "urn:moat:problem:upstream-timeout") == (answer.status, answer.problem["type"])
    assert closed.wait(5)


def test_a_client_that_leaves_in_the_upstreams_handshake_leaves_nothing(world: World) -> None:
    """The half-open connection is closed with it."""
    closed, begun = threading.Event(), threading.Event()
    world.plain.script = lambda stream: (
        stream.fill(),
        begun.set(),
        stream.is_closed() and closed.set(),
    )[0]
    world.upstreams._connect_to[API, 443] = ("127.0.0.1", world.plain.port)
    client = world.tunnel()
    client.send(get())
    assert begun.wait(5)
    client.close()
    assert closed.wait(5)
    assert world.trace(1)[0][0].status == 499


def test_an_address_that_cannot_be_reached_is_said(world: World) -> None:
    """502, and the next request is served as if nothing had been."""
    port = world.upstreams._connect_to[API, 443]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        world.upstreams._connect_to[API, 443] = ("127.0.0.1", listener.getsockname()[1])
    client = world.tunnel()
    answer = client.get()
    assert (502, "urn:moat:problem:upstream-unreachable") == (
        answer.status,
        answer.problem["type"],
    )
    assert "refused" in answer.problem["detail"].lower()
    world.upstreams._connect_to[API, 443] = port
    assert client.get().status == 200


def test_the_next_address_is_tried_when_one_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that is silent does not use up the time of the others."""
    monkeypatch.setattr(upstream, "ATTEMPT_TIMEOUT", 0.2)
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    fillers = []
    for _ in range(3):  # a full backlog answers nobody
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(silent.getsockname())
        fillers.append(filler)

    async def addresses(*_: object) -> list[tuple[str, int]]:
        return [silent.getsockname(), ("127.0.0.1", world.server.port)]

    try:
        monkeypatch.setattr(world.upstreams, "_addresses", addresses)
        assert world.tunnel().get().status == 200
    finally:
        for each in (silent, *fillers):
            each.close()
