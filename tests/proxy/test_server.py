"""Meeting the clients: tunnels, the agreement of all names, and what is never forwarded."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import pytest

from moat.proxy import server
from proxy.support import API, Client, Stream, World, end_tls, eventually, get, post, reply


def test_a_tunnel_carries_requests_over_tls(world: World) -> None:
    """CONNECT, a leaf for the host, a request, its answer."""
    client = world.tunnel()
    answer = client.get("/v1?x=1", more="X-A: 1\r\n")
    assert (200, "OK", b"ok") == (answer.status, answer.reason, answer.body)
    (received,) = world.server.requests
    assert received.line == "GET /v1?x=1 HTTP/1.1"
    assert received.headers == [
        ("Host", API),
        ("X-A", "1"),
        ("Authorization", "Bearer sk-real"),
    ]
    ((entry, _),) = world.trace(1)
    assert (f"https://{API}/v1?x=1", "forwarded") == (entry.url, entry.outcome)


def test_a_connection_carries_one_request_after_the_other(world: World) -> None:
    """Keep-alive on both sides, also when the requests come all at once."""
    client = world.tunnel()
    for _ in range(3):
        assert client.get().status == 200
    client.send(get("/a") + post(b"body") + get("/c"))
    assert [b"ok"] * 3 == [client.answer().body for _ in range(3)]
    assert [request.body for request in world.server.requests[3:]] == [b"", b"body", b""]
    assert world.server.connections == 1


def test_a_client_that_wants_to_close_is_obeyed(world: World) -> None:
    """The answer says so too, and TLS ends in order."""
    client = world.tunnel()
    answer = client.get(more="Connection: close\r\n")
    assert answer.all("connection") == ["close"]
    assert client.rest() == b""


@pytest.mark.parametrize("authority", ["[::1]:443", "127.0.0.1:443"])
def test_an_address_in_connect_works(world: World, authority: str) -> None:
    """The leaf names the address; there is no SNI to agree with."""
    world.allow("[::1]", "127.0.0.1", inject=())
    client = world.tunnel(authority)
    host = authority.rpartition(":")[0]
    certificate = client.sock.getpeercert()
    assert certificate["subjectAltName"][0][0] == "IP Address"
    # The stand-in for the world has a leaf for 127.0.0.1 alone.
    expected = 200 if host == "127.0.0.1" else 502
    assert client.get(host=host).status == expected
    assert world.trace(1)[0][0].url == f"https://{host}/"


def test_a_refused_host_is_met_and_told_why(world: World) -> None:
    """TLS finishes, the problem document is readable, and the connection stays of use."""
    client = world.tunnel("evil.example:443")
    for _ in range(2):
        answer = client.get("/secret?k=v", "evil.example")
        assert answer.status == 403
        assert answer.problem["host"] == "evil.example"
        assert answer.problem["allow"] == "moat allow evil.example --run 0123456789"
    assert world.untouched()
    assert world.keys.asked == []
    assert [entry.outcome for entry, _ in world.trace(2)] == ["refused", "refused"]


def test_a_refused_head_has_no_body(world: World) -> None:
    """The answer to HEAD ends with its head, refused or not."""
    client = world.tunnel("evil.example:443")
    client.send(get(host="evil.example", method="HEAD"))
    assert client.answer("HEAD").status == 403
    assert client.is_silent()


def test_a_refused_upload_closes_in_order(world: World) -> None:
    """What the client still sends is no request, and the refusal reaches it all the same."""
    client = world.tunnel("evil.example:443")
    client.send(b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9000000\r\n\r\n")
    for _ in range(100):
        client.send(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n" * 200)
    answer = client.answer()
    assert (403, ["close"]) == (answer.status, answer.all("connection"))
    assert client.rest() == b""
    assert len(world.trace(1)) == 1


# plain HTTP


def test_plain_http_goes_by_whole_url(world: World) -> None:
    """The target becomes a path, Host stays, no credential is put in."""
    client = world.client()
    for target, path in (
        (f"http://{API}/a?b", "/a?b"),
        (f"HTTP://{API}", "/"),
        (f"http://{API}?q", "/?q"),
    ):
        assert client.get(target).status == 200
        assert world.plain.requests[-1].line == f"GET {path} HTTP/1.1"
    assert world.plain.requests[0].headers == [("Host", API)]
    assert world.plain.connections == 1


def test_one_plain_connection_may_reach_several_hosts(world: World) -> None:
    """Each request is judged for itself."""
    client = world.client()
    assert client.get(f"http://{API}/").status == 200
    assert client.get("http://evil.example/", "evil.example").status == 403
    assert client.get(f"http://{API}/").status == 200


def test_a_client_that_half_closes_gets_its_answer(world: World) -> None:
    """Plain HTTP: the end of what is sent is not the end of what is heard."""
    client = world.client()
    client.send(get(f"http://{API}/"))
    client.sock.shutdown(socket.SHUT_WR)
    assert client.answer().body == b"ok"
    assert client.rest() == b""


def test_a_client_that_half_closes_tls_gets_its_answer(world: World) -> None:
    """With close_notify it is an end, and no cut."""
    ended = threading.Event()

    def script(stream: Stream) -> None:
        world.server.receive(stream)
        assert ended.wait(5)
        stream.send(reply(b"late"))

    world.server.script = script
    client = world.tunnel()
    client.send(get())
    client.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.sock.unwrap()  # says close_notify, then waits
    client.sock.settimeout(5)
    ended.set()
    assert client.answer().body == b"late"
    assert client.rest() == b""
    assert world.trace(1)[0][0].outcome == "forwarded"


def test_a_plain_request_in_a_tunnel_is_plain_http(world: World) -> None:
    """CONNECT without TLS is plain http whatever its port, and that is refused on 443."""
    world.handed.upstreams._connect_to[API, 443] = ("127.0.0.1", world.plain.port)
    client = world.connect()
    answer = client.get(host=f"{API}:443", more="Authorization: placeholder\r\n")
    assert answer.status == 403
    assert b"Ask with https." in answer.body
    assert world.plain.requests == []
    assert world.keys.asked == []
    assert world.trace(1)[0][0].url == f"http://{API}:443/"


def test_http_1_0_is_refused_readably(world: World) -> None:
    """505, so that an old client can say what is wrong."""
    client = world.tunnel()
    client.send(f"GET / HTTP/1.0\r\nHost: {API}\r\n\r\n".encode())
    assert client.answer().status == 505
    assert world.untouched()


def test_connect_may_be_http_1_0(world: World) -> None:
    """Old clients open tunnels so, and what counts is inside."""
    client = world.client()
    client.send(f"CONNECT {API}:443 HTTP/1.0\r\n\r\n".encode())
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


# whom a request is for: everything that names it must agree


@pytest.mark.parametrize("name", ["other.example.com", "evil.example"])
def test_sni_must_be_what_the_tunnel_is_for(world: World, name: str) -> None:
    """The handshake is refused with an alert, and recorded."""
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        world.tunnel(name=name)
    assert world.untouched()
    ((entry, _),) = world.trace(1)
    assert ("CONNECT", "refused", 421) == (entry.method, entry.outcome, entry.status)


@pytest.mark.parametrize("host", [API, API.upper(), f"{API}.", f"{API}:443"])
def test_a_host_header_may_spell_the_tunnels_host_otherwise(world: World, host: str) -> None:
    """The twin: case, trailing dot and default port make no difference; one spelling goes out."""
    assert world.tunnel().get(host=host).status == 200
    assert world.server.requests[0].all("host") == [API]


POST = f"POST / HTTP/1.1\r\nHost: {API}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"

TUNNEL_REFUSALS = [
    (421, "GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n"),
    (421, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    (421, f"GET / HTTP/1.1\r\nHost: {API}:80\r\n\r\n"),
    (421, f"GET / HTTP/1.1\r\nHost: {API}.evil.example\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}\r\nHost: {API}\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}\r\nhost: evil.example\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}, evil.example\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: user@{API}\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}/\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}:0443\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: \xfcber.example\r\n\r\n"),
    (400, f"GET https://{API}/ HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET http://{API}/ HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET https://evil.example/ HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET evil.example:443 HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET * HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET @evil.example/ HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET /a#b HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (421, f"CONNECT {API}:443 HTTP/1.1\r\nHost: {API}:443\r\n\r\n"),
    (421, "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
    # framing
    (400, f"{POST}Content-Length: 5\r\n{CHUNKED}\r\n0\r\n\r\n"),
    (400, f"{POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (400, f"{POST}Content-Length: 5, 5\r\n\r\nhello"),
    (400, f"{POST}Content-Length: +5\r\n\r\nhello"),
    (400, f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (400, f"{POST}Content-Length: 5\r\nConnection: content-length\r\n\r\nhello"),
    (400, f"{POST}{CHUNKED}Connection: transfer-encoding\r\n\r\n0\r\n\r\n"),
    # lines
    (400, f"GET / HTTP/1.1\r\nHost: {API}\r\n folded\r\n\r\n"),
    (400, f"GET / HTTP/1.1\nHost: {API}\r\n\r\n"),
    (400, f"GET / HTTP/1.1\nHost: {API}\n\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}\rX: 1\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost: {API}\r\nX: a\0b\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\nHost : {API}\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\n\r\nHost: {API}\r\n\r\n"),
    (400, f"GET /\rX-Evil:1 HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET /\0 HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GET\rX: 1 / HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, f"GE:T / HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (400, "\x16\x03\x01\0\0\r\n\r\n"),
    (400, f"\r\nGET / HTTP/1.1\r\nHost: {API}\r\n\r\n"),
    (431, f"GET / HTTP/1.1\r\nHost: {API}\r\nX: " + "a" * 200_000 + "\r\n\r\n"),
    (431, f"GET /{'a' * 200_000} HTTP/1.1\r\nHost: {API}\r\n\r\n"),
]


@pytest.mark.parametrize(("status", "raw"), TUNNEL_REFUSALS)
def test_what_is_unsound_in_a_tunnel_is_never_forwarded(
    world: World, status: int, raw: str
) -> None:
    """Refused readably, recorded, no secret resolved, no upstream heard; then the end."""
    client = world.tunnel()
    client.send(raw.encode("latin-1"))
    answer = client.answer()
    assert status == answer.status
    assert answer.problem["detail"].startswith("Moat refused a request: ")
    assert answer.all("connection") == ["close"]
    assert client.rest() == b""
    assert world.untouched()
    assert world.keys.asked == []
    ((entry, _),) = world.trace(1)
    assert ("refused", status) == (entry.outcome, entry.status)
    assert entry.url.startswith(f"https://{API}")


@pytest.mark.parametrize(
    "raw",
    [
        f"GET / HTTP/1.1\r\nhOST:{API}\r\n\r\n",
        f"OPTIONS * HTTP/1.1\r\nHost: {API}\r\n\r\n",
        f"GET //evil.example/ HTTP/1.1\r\nHost: {API}\r\n\r\n",
        f"GET /@evil.example HTTP/1.1\r\nHost: {API}\r\n\r\n",
        f"GET /?u=https://evil.example HTTP/1.1\r\nHost: {API}\r\n\r\n",
        f"{POST}Content-Length: 5\r\n\r\nhello",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {API}\r\nX: " + "a" * 60_000 + "\r\n\r\n",
        f"connect / HTTP/1.1\r\nHost: {API}\r\n\r\n",
    ],
)
def test_what_is_sound_in_a_tunnel_is_forwarded(world: World, raw: str) -> None:
    """The twins: close to what is refused, and allowed."""
    client = world.tunnel()
    client.send(raw.encode("latin-1"))
    assert client.answer().status == 200
    assert client.get().status == 200
    assert world.server.requests[0].line == raw.split("\r\n")[0]


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (400, "CONNECT api.example.com HTTP/1.1\r\n\r\n"),
        (400, "CONNECT api.example.com:0 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT api.example.com:70000 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT 127.1:443 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT 0x7f.1:443 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT [fe80::1%25lo]:443 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT user@api.example.com:443 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT https://api.example.com:443 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT /:443 HTTP/1.1\r\n\r\n"),
        (400, "CONNECT api.example.com:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
        (400, "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET https://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET ftp://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET http:///x HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET http://u:p@api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET http://api.example.com\\@evil/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET http://api.example.com/#f HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        (400, "GET http://api.example.com/ HTTP/1.1\r\n\r\n"),
        (421, "GET http://api.example.com/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        (421, "GET http://api.example.com:80/ HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"),
        (505, "GET http://api.example.com/ HTTP/1.0\r\nHost: api.example.com\r\n\r\n"),
        (400, "nonsense\r\n\r\n"),
        (400, "GET / HTTP/1.1\n\n"),
    ],
)
def test_what_is_unsound_outside_a_tunnel_is_never_forwarded(
    world: World, status: int, raw: str
) -> None:
    """A proxy's own requests are judged as strictly."""
    client = world.client()
    client.send(raw.encode())
    assert status == client.answer().status
    assert client.rest() == b""
    assert world.untouched()
    assert [status] == [entry.status for entry, _ in world.trace(1)]


def test_a_connect_after_a_request_is_refused(world: World) -> None:
    """A connection in use does not become a tunnel."""
    client = world.client()
    assert client.get(f"http://{API}/").status == 200
    client.send(f"CONNECT {API}:443 HTTP/1.1\r\n\r\n".encode())
    assert client.answer().status == 421


def test_a_refusal_reaches_a_client_that_goes_on_sending(world: World) -> None:
    """431 for an endless head is delivered, not lost to a reset."""
    for _ in range(5):
        client = world.tunnel()
        client.send(f"GET / HTTP/1.1\r\nHost: {API}\r\n".encode())
        for number in range(200):
            client.send(b"X-%d: " % number + b"a" * 10_000 + b"\r\n")
        assert client.answer().status == 431
        assert client.rest() == b""


def test_what_is_refused_cannot_be_recorded_is_said(world: World) -> None:
    """503 instead of 400: refused either way."""
    world.ledger.failing = True
    client = world.tunnel()
    client.send(get(host="evil.example"))
    assert client.answer().status == 503


# limits


def test_who_asks_on_and_on_must_also_read(world: World) -> None:
    """Answers that nobody reads are not piled up: no more requests are taken."""
    total, host = 20_000, ".".join(["a" * 60] * 4)
    client = world.client()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        client.send(get(f"http://{host}/", host) * total)
    before = -1
    while before != (before := len(world.ledger.rows)):
        time.sleep(0.3)
    assert 0 < before < total // 2


def test_a_slow_head_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowloris ends at the time limit, counted to the whole head."""
    monkeypatch.setattr(server, "HEAD_TIMEOUT", 0.3)
    client = world.client()
    try:
        for _ in range(100):
            client.send(b"G")
            assert client.is_silent(0.05)
    except (OSError, AssertionError):
        pass
    assert client.is_closed()


@pytest.mark.parametrize("inside", [False, True])
def test_an_idle_connection_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    """Between requests in order, before a tunnel's first byte at once."""
    monkeypatch.setattr(server, "IDLE_TIMEOUT", 0.2)
    monkeypatch.setattr(server, "HANDSHAKE_TIMEOUT", 0.2)
    if inside:
        client = world.tunnel()
        assert client.get().status == 200
        assert client.rest() == b""
    else:
        assert world.connect().is_closed()


def test_a_run_holds_so_many_connections_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is turned away; when one goes, there is room again."""
    monkeypatch.setattr(server, "MAX_CLIENTS", 2)
    first, second = world.tunnel(), world.tunnel()
    assert first.get().status == second.get().status == 200
    assert world.client().is_closed()
    first.close()
    assert eventually(lambda: len(world.proxy._tasks) == 1)
    assert world.tunnel().get().status == 200


def test_closing_ends_every_connection_and_records_it(world: World) -> None:
    """What was under way is written down as ended by the run."""
    world.server.script = lambda stream: (world.server.receive(stream), stream.rest())[0]
    client = world.tunnel()
    client.send(get())
    assert eventually(lambda: world.server.heard)
    world.call(world.proxy.close())
    ((entry, _),) = world.trace(1)
    assert ("failed", "the run ended") == (entry.outcome, entry.error)
    assert client.is_closed()


def test_a_client_that_leaves_in_the_handshake_leaves_nothing(world: World) -> None:
    """No task stays behind, and what was asked for is recorded all the same."""
    client = world.connect()
    client.send(b"\x16\x03\x01\x02\x00\x01\x00")
    client.reset()
    other = world.connect()
    other.close()
    assert eventually(lambda: not world.proxy._tasks)
    entries = [rows[-1][0] for rows in world.ledger.rows.values()]
    assert [("CONNECT", f"https://{API}", "failed")] * 2 == [
        (entry.method, entry.url, entry.outcome) for entry in entries
    ]


def test_a_tunnel_may_be_sent_at_once_with_its_connect(world: World) -> None:
    """Bytes that came with the CONNECT belong to the handshake."""
    client = world.client()
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = world._trust.wrap_bio(inside, outside, server_hostname=API)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    client.send(f"CONNECT {API}:443 HTTP/1.1\r\n\r\n".encode() + outside.read())
    client.until(b"\r\n\r\n")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            if not client.buffer:
                client.fill()
            inside.write(client.take(len(client.buffer)))
    tls.write(get())
    client.send(outside.read())
    client.fill()
    inside.write(client.take(len(client.buffer)))
    assert tls.read(1000).startswith(b"HTTP/1.1 200 OK")


def test_the_linger_ends_with_the_client(world: World) -> None:
    """Who has read a refusal and goes does not hold the connection open."""
    client: Client = world.tunnel()
    client.send(b"nonsense\r\n\r\n")
    assert client.answer().status == 400
    end_tls(client)
    assert eventually(lambda: not world.proxy._tasks, 1)
