"""Clients that know no proxy: where they meant to go is read off their connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from engine.test_hello import message, record, sni
from moat.engine.dns import AAAA, A, parse_query
from moat.engine.names import Names
from moat.proxy.direct import ALERT, DirectWire
from moat.proxy.wire import Wire
from proxy.support import API, Client, World, eventually, get
from support.dns import labels, query

# The first name that is asked for has these addresses.
FIRST, FIRST_V6, SECOND = "198.18.0.1", "fd4d:6f61:7400::1", "198.18.0.2"
ELSEWHERE, LITERAL = "192.0.2.7", "127.0.0.1"
OTHER = "other.example.com"

Reach = Callable[..., Client]


@pytest.fixture
def reach(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    """Connects to any address and port, as in a box; API has the first synthetic address."""
    names = Names()
    for kind in (A, AAAA):
        names.answer(parse_query(query(labels(API), kind)), world.handed.session.policy)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    world.call(world.proxy.listen(listener, names))
    meant: tuple[str, int]
    clients = []

    def connection_made(self: DirectWire, transport: asyncio.BaseTransport) -> None:
        self.address, self.port = meant
        Wire.connection_made(self, transport)

    monkeypatch.setattr(DirectWire, "connection_made", connection_made)

    def reach(address: str, port_meant: int = 443) -> Client:
        nonlocal meant
        meant = address, port_meant
        client = Client(socket.create_connection(("127.0.0.1", port)))
        clients.append(client)
        return client

    yield reach
    for client in clients:
        client.close()


def secured(world: World, client: Client, name: str | None) -> Client:
    """The same by TLS; `name` is what the hello asks for."""
    world._trust.check_hostname = name is not None
    client.sock = world._trust.wrap_socket(
        client.sock, server_hostname=name, suppress_ragged_eofs=False
    )
    return client


@pytest.mark.parametrize("address", [FIRST, FIRST_V6, ELSEWHERE])
def test_the_server_name_decides(world: World, reach: Reach, address: str) -> None:
    """Policy, credential, trace: all is as behind a CONNECT."""
    client = secured(world, reach(address), API)
    assert client.get("/v1").status == 200
    assert client.get("/v2").status == 200
    assert ["Bearer sk-real"] == world.server.requests[0].all("authorization")
    assert [f"https://{API}/v1", f"https://{API}/v2"] == [entry.url for entry, _ in world.trace(2)]


@pytest.mark.parametrize("address", [FIRST, FIRST_V6, ELSEWHERE])
def test_the_host_header_decides(world: World, reach: Reach, address: str) -> None:
    """In the clear, which no credential is."""
    client = reach(address, 80)
    assert client.get("/v1").status == 200
    assert client.get("/v2").status == 200
    assert [] == world.plain.requests[0].all("authorization")
    assert [f"http://{API}/v1", f"http://{API}/v2"] == [entry.url for entry, _ in world.trace(2)]


def test_an_address_that_was_meant_is_judged_as_one(world: World, reach: Reach) -> None:
    """Its leaf names it, and the rule must."""
    client = secured(world, reach(LITERAL), None)
    assert client.get("/", LITERAL).status == 200
    refused = secured(world, reach(ELSEWHERE), None)
    assert refused.get("/", ELSEWHERE).problem["host"] == ELSEWHERE
    (allowed, _), (denied, _) = world.trace(2)
    assert ("forwarded", "refused") == (allowed.outcome, denied.outcome)
    assert (f"https://{LITERAL}/", f"https://{ELSEWHERE}/") == (allowed.url, denied.url)


def test_a_name_that_policy_denies_is_met_and_told_why(world: World, reach: Reach) -> None:
    """Whatever address it comes by: none leads around policy."""
    assert secured(world, reach(ELSEWHERE), "evil.example").get("/", "evil.example").status == 403
    assert reach(ELSEWHERE, 80).get("/", "evil.example").status == 403
    assert world.untouched()
    places = [entry.url for entry, _ in world.trace(2)]
    assert ["https://evil.example/", "http://evil.example/"] == places


@pytest.mark.parametrize("name", [OTHER, "evil.example", None])
def test_a_server_name_must_be_the_addresss(world: World, reach: Reach, name: str | None) -> None:
    """Who resolved one name does not mean another."""
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        secured(world, reach(FIRST), name)
    ((entry, _),) = world.trace(1)
    assert ("TLS", f"https://{API}", 421) == (entry.method, entry.url, entry.status)
    said = f"TLS failed: the TLS hello names {name or 'nobody'}, the address is {API}'s"
    assert said == entry.error
    assert world.untouched()


@pytest.mark.parametrize("name", [OTHER, "evil.example", FIRST])
def test_a_host_must_be_the_addresss(world: World, reach: Reach, name: str) -> None:
    """As a server name must, where there is none."""
    assert reach(FIRST, 80).get("/", name).status == 421
    assert world.untouched()
    ((entry, _),) = world.trace(1)
    assert f"http://{API}/" == entry.url


@pytest.mark.parametrize("address", [FIRST, ELSEWHERE])
def test_a_host_must_be_the_server_name(world: World, reach: Reach, address: str) -> None:
    """Fronting ends here as it does in a tunnel."""
    assert secured(world, reach(address), API).get("/", OTHER).status == 421
    assert world.untouched()


@pytest.mark.parametrize("address", [FIRST, ELSEWHERE])
def test_the_first_host_holds_for_the_connection(world: World, reach: Reach, address: str) -> None:
    """A client that wants another opens another connection."""
    client = reach(address, 80)
    assert client.get().status == 200
    assert client.get("/", "evil.example").status == 421
    assert client.is_closed()


def test_the_port_is_the_connections(world: World, reach: Reach) -> None:
    """A Host header does not move it, nor the scheme."""
    world.allow(API, f"{API}:8080")
    assert reach(ELSEWHERE, 80).get("/", f"{API}:8080").status == 421
    assert secured(world, reach(ELSEWHERE), API).get("/", f"{API}:8080").status == 421
    assert secured(world, reach(FIRST, 80), API).get("/", f"{API}:80").status == 403
    assert reach(FIRST, 443).get("/", f"{API}:443").status == 403
    assert not world.server.requests + world.plain.requests
    places = [entry.url for entry, _ in world.trace(4)]
    last = [f"https://{API}:80/", f"http://{API}:443/"]
    assert [f"http://{API}/", f"https://{API}/", *last] == places


def test_an_address_of_nobody_is_one(world: World, reach: Reach) -> None:
    """One that would be given away next stands for itself, and for no name."""
    assert secured(world, reach(SECOND), None).get("/", SECOND).status == 403
    assert reach(SECOND, 80).get("/", SECOND).status == 403
    assert world.untouched()


@pytest.mark.parametrize("name", [b"127.0.0.1", b"a b", b"a\0b.example", b"::1", b"1"])
def test_a_server_name_is_a_name(world: World, reach: Reach, name: bytes) -> None:
    """An address has no place there, and neither has what is no host at all."""
    world.allow("127.0.0.1", "[::1]", "a", "b.example")
    client = reach(ELSEWHERE)
    client.send(record(message([sni(name)])))
    assert ALERT == client.rest()
    ((entry, _),) = world.trace(1)
    assert ("TLS", f"https://{ELSEWHERE}", 421) == (entry.method, entry.url, entry.status)


@pytest.mark.parametrize("address", [FIRST, ELSEWHERE])
def test_a_hello_that_cannot_be_read_is_recorded(world: World, reach: Reach, address: str) -> None:
    """And answered with an alert, in which there is nothing of ours."""
    client = reach(address)
    client.send(record(b"\1\0\0\1\0"))
    assert ALERT == client.rest()
    ((entry, _),) = world.trace(1)
    assert ("refused", "TLS failed: the ClientHello is cut short") == (entry.outcome, entry.error)


def test_a_hello_may_come_byte_by_byte(world: World, reach: Reach) -> None:
    """It is read as it comes and then handed to TLS, whole."""
    client = reach(ELSEWHERE)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = world._trust.wrap_bio(incoming, outgoing, server_hostname=API)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in outgoing.read():
        client.send(bytes((byte,)))
    while True:
        client.fill()
        incoming.write(client.take(len(client.buffer)))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            continue
        break
    client.send(outgoing.read())
    assert (("subjectAltName", ((("DNS", API)),)),) == tuple(
        item for item in (tls.getpeercert() or {}).items() if item[0] == "subjectAltName"
    )


def test_who_hangs_up_is_no_request(world: World, reach: Reach) -> None:
    """Before the first word, or within a hello: there is nothing to record, and nothing is left."""
    reach(FIRST).close()
    client = reach(ELSEWHERE)
    client.send(record(message())[:-1])
    client.close()
    assert eventually(lambda: not world.proxy._tasks)
    assert {} == world.ledger.rows


def test_a_handshake_without_a_request_is_recorded(world: World, reach: Reach) -> None:
    """The name that was asked for is worth knowing."""
    secured(world, reach(ELSEWHERE), "evil.example").close()
    ((entry, _),) = world.trace(1)
    assert ("TLS", "https://evil.example", "failed") == (entry.method, entry.url, entry.outcome)


@pytest.mark.parametrize("address", [FIRST, ELSEWHERE])
def test_it_is_no_proxy(world: World, reach: Reach, address: str) -> None:
    """Who wants one knows where it is; a way around what is asked of its clients is not here."""
    client = reach(address, 80)
    client.send(f"CONNECT {API}:443 HTTP/1.1\r\nHost: {API}:443\r\n\r\n".encode())
    assert client.answer().status == 421
    assert reach(address, 80).get(f"http://{API}/v1").status == 400
    assert world.untouched()


def test_a_proxy_is_asked_as_before(world: World, reach: Reach) -> None:
    """What stands here is about the new sockets alone."""
    assert world.tunnel().get("/v1").status == 200
    client = world.client()
    client.send(get("/v1", API))
    assert client.answer().status == 400
