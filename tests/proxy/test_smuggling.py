"""No request hides in another, wherever it is put: what is not judged is not asked.

The heads that two readers could take apart differently stand in `test_conformance`. Here is what
is sound, and could still carry a request past whoever looks at the heads alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from moat.pki.leaf import LeafCache
from proxy.conftest import Certificates
from proxy.support import API, KEY, Server, Stream, World, eventually, get, post, reply
from proxy.tape import Tape, head

HOST = f"Host: {API}"
AUTH = f"Authorization: Bearer {KEY}"
CHUNKED = "Transfer-Encoding: chunked"
HIDDEN = get("/hidden", "evil.example")
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")


# bodies


@pytest.mark.attack
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "DELETE", "OPTIONS", "PURGE"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_body_that_looks_like_a_request_is_a_body(
    world: World, method: str, chunked: bool
) -> None:
    """Of whatever method; what follows it is the next request."""
    line, length = f"{method} / HTTP/1.1", f"Content-Length: {len(HIDDEN)}"
    tape = Tape(world.server, *[reply(b"")] * 2)
    client = world.tunnel()
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
        client.send(head(line, HOST, CHUNKED) + body + get("/next"))
        expected = head(line, HOST, AUTH, CHUNKED) + body
    else:
        client.send(head(line, HOST, length) + HIDDEN + get("/next"))
        expected = head(line, HOST, length, AUTH) + HIDDEN
    assert [200, 200] == [client.answer(method).status, client.answer().status]
    assert expected + head("GET /next HTTP/1.1", HOST, AUTH) == tape.only()
    assert ["/", "/next"] == [
        entry.url.removeprefix(f"https://{API}") for entry, _ in world.trace(2)
    ]


@pytest.mark.attack
@pytest.mark.parametrize("early", [b"413 Too Large", b"200 OK", b"307 Temporary Redirect"])
def test_the_rest_of_a_body_is_no_request(world: World, early: bytes) -> None:
    """The answer came early, and somebody goes on to send: what it sends is dropped."""

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        stream.send(b"HTTP/1.1 " + early + b"\r\nContent-Length: 2\r\n\r\nno")
        stream.is_closed()

    world.server.script = script
    client = world.tunnel()
    client.send(post(bytes(1000))[:-900])
    answer = client.answer()
    assert (b"no", ["close"]) == (answer.body, answer.all("connection"))
    client.send(HIDDEN * 30)
    assert client.rest() == b""
    assert len(world.trace(1)) == 1


@pytest.mark.attack
def test_a_body_that_was_not_wanted_is_no_request(world: World) -> None:
    """Without 100 the server has answered; the body comes all the same, and is dropped."""

    def script(stream: Stream) -> None:
        stream.until(b"\r\n\r\n")
        stream.send(reply(status="413 Too Large"))
        stream.is_closed()

    world.server.script = script
    client = world.tunnel()
    head_of_it = post(HIDDEN, more="Expect: 100-continue\r\n").partition(HIDDEN)[0]
    client.send(head_of_it)
    assert (413, ["close"]) == ((answer := client.answer()).status, answer.all("connection"))
    client.send(HIDDEN)
    assert client.rest() == b""
    assert world.server.connections == len(world.trace(1)) == 1


# switches of protocols


@pytest.mark.attack
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "426 Upgrade Required"])
def test_what_follows_a_switch_that_was_refused_is_judged(world: World, status: str) -> None:
    """It was sent in the hope to be passed on unseen."""
    tape = Tape(world.server, reply(status=status))
    client = world.tunnel()
    client.send(head("GET / HTTP/1.1", HOST, *UPGRADE) + HIDDEN)
    assert int(status[:3]) == client.answer().status
    assert 421 == client.answer().status
    assert head("GET / HTTP/1.1", HOST, AUTH, *UPGRADE) == tape.only()
    (_, _), (refused, _) = world.trace(2)
    assert "refused" == refused.outcome


@pytest.mark.attack
@pytest.mark.parametrize(
    "asked",
    [
        ("Connection: Upgrade", "Upgrade: h2c"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        ("Connection: Upgrade", "Upgrade: websocket, h2c"),
        ("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
        ("Connection: keep-alive", "Upgrade: websocket"),
        ("Upgrade: websocket",),
    ],
)
def test_a_server_that_switches_unasked_gets_nothing(world: World, asked: tuple[str, ...]) -> None:
    """Only a WebSocket is asked for; a 101 for anything else is none."""
    tape = Tape(world.server, head("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: h2c"))
    client = world.tunnel()
    client.send(head("GET / HTTP/1.1", HOST, *asked) + HIDDEN)
    assert 502 == client.answer().status
    assert b"h2c" not in tape.only()
    assert b"hidden" not in tape.only()
    assert not any(message.all(b"http2-settings") for message in tape.requests())


# the proxy's own requests


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (f"http://{API}/a?b=c", API, "/a?b=c"),
        (f"HTTP://{API.upper()}:80/", f"{API}:80", "/"),
        (f"http://{API}", f"{API}.", "/"),
        (f"http://{API}?q", API, "/?q"),
        (f"http://{API}//evil.example/", API, "//evil.example/"),
    ],
)
def test_plain_http_goes_through_the_same_exchange(
    world: World, target: str, host: str, path: str
) -> None:
    """Its path goes on and its Host, anew, and no credential; what the client has is its own."""
    tape = Tape(world.plain)
    mine = ("Authorization: mine", "Cookie: a=b")
    client = world.client()
    client.send(head(f"GET {target} HTTP/1.1", f"Host: {host}", "Proxy-Authorization: x", *mine))
    assert 200 == client.answer().status
    assert head(f"GET {path} HTTP/1.1", HOST, *mine) == tape.only()
    ((entry, _),) = world.trace(1)
    assert (f"http://{API}{path}", ()) == (entry.url, entry.grants)


@pytest.fixture
def at_v6(world: World, certificates: Certificates) -> Iterator[Tape]:
    """A server that is who [::1] is."""
    context: ssl.SSLContext = LeafCache(certificates.world).context_for("::1")
    server = Server(context)
    world.upstreams._connect_to["::1", 443] = ("127.0.0.1", server.port)
    yield Tape(server)
    server.close()


@pytest.mark.parametrize("host", ["[::1]", "[::1]:443", "[0:0:0:0:0:0:0:1]", "[::0.0.0.1]"])
def test_an_ipv6_literal_is_a_host(world: World, at_v6: Tape, host: str) -> None:
    """In CONNECT and Host, however it is spelled; certificates have it on both sides."""
    client = world.tunnel("[::1]:443")
    assert ("IP Address", "0:0:0:0:0:0:0:1") in client.sock.getpeercert()["subjectAltName"]
    assert 200 == client.get(host=host).status
    assert head("GET / HTTP/1.1", "Host: [::1]") == at_v6.only()


@pytest.mark.attack
@pytest.mark.parametrize("host", ["::1", "[::2]", "[::1", "[::1%25lo]", "[::ffff:0.0.0.1]", "1"])
def test_another_address_is_another_host(world: World, at_v6: Tape, host: str) -> None:
    """Or none."""
    assert world.tunnel("[::1]:443").get(host=host).status in (400, 421)
    assert not at_v6.heard


# what nobody asks for


@pytest.mark.attack
@pytest.mark.parametrize("value", ["200-ok", "100-continue, x", "100-continue;q=1", "x"])
def test_an_expectation_that_is_not_known_is_refused(world: World, value: str) -> None:
    """RFC 9110 section 10.1.1: 417, as nobody can meet it."""
    tape = Tape(world.server)
    assert 417 == world.tunnel().get(more=f"Expect: {value}\r\n").status
    assert not tape.heard


def test_the_one_expectation_there_is_goes_on(world: World) -> None:
    """The twin."""
    tape = Tape(world.server)
    assert 200 == world.tunnel().get(more="Expect: 100-Continue\r\n").status
    assert ["100-Continue"] == [v.decode() for v in tape.requests()[0].all(b"expect")]


# what is not so yet


@pytest.mark.attack
def test_headers_for_proxies_do_not_go_on(world: World) -> None:
    """Whatever their names: they are for whoever stands here."""
    tape = Tape(world.server)
    more = "Proxy-Connection: x\r\nProxy-Features: x\r\nProxy: http://evil.example\r\n"
    assert 200 == world.tunnel().get(more=more).status
    assert head("GET / HTTP/1.1", HOST, AUTH) == tape.only()


@pytest.mark.attack
@pytest.mark.parametrize("name", ["Content_Length", "Transfer_Encoding"])
def test_framing_has_no_second_name(world: World, name: str) -> None:
    """Servers that make variables of headers would have two of them."""
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(post(HIDDEN, more=f"{name}: 0\r\n"))
    assert 400 == client.answer().status
    assert not tape.heard


@pytest.mark.attack
@pytest.mark.parametrize("status", ["204 No Content", "103 Early Hints"])
def test_what_has_no_body_states_no_length(world: World, status: str) -> None:
    """RFC 9110 section 8.6; a reader who believes it would take the next answer for a body."""
    Tape(world.server, head(f"HTTP/1.1 {status}", "Content-Length: 5") + reply())
    client = world.tunnel()
    client.send(get())
    assert [] == client.head().all("content-length")


def large_trailers(world: World) -> tuple[Tape, int]:
    """What a server and a client get of a body with trailers of 20 KB."""
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(head("POST / HTTP/1.1", HOST, CHUNKED) + b"1\r\n!\r\n")
    assert eventually(lambda: bool(tape.heard and tape.heard[0]))
    client.send(b"0\r\n" + b"X: %b\r\n" % (b"a" * 4000) * 5 + b"\r\n")
    return tape, client.answer().status


@pytest.mark.attack
def test_trailers_are_bounded(world: World) -> None:
    """They are held until their end; too many of them, and the body never ends."""
    tape, status = large_trailers(world)
    assert 400 <= status < 500
    assert not any(message.whole for message in tape.requests())


@pytest.mark.attack
def test_trailers_too_large_are_said_to_be(world: World) -> None:
    """As a head too large is."""
    assert 431 == large_trailers(world)[1]
