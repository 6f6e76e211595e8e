"""The token of a proxy: shown in every request to the proxy itself, and sent on to nobody."""

from __future__ import annotations

import base64
import itertools
import socket

import pytest

from moat.core.secret import Secret
from moat.engine.dns import A, parse_query
from moat.engine.names import Names
from moat.errors import RecordError
from moat.proxy.direct import DirectWire
from moat.proxy.token import MAX_ROWS, Strangers, shows
from moat.proxy.wire import Wire
from proxy.support import API, Answer, Client, World
from support.dns import labels, query

TEXT = "t0ken-of_this.run~0123456789"
TOKEN = Secret(TEXT)


def basic(user_and_password: str) -> str:
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


GOOD = basic(f"moat:{TEXT}")


def ask(client: Client, first: str, shown: str | None, *, more: str = "") -> Answer:
    """A request head to the proxy itself, and what it says to it."""
    line = "" if shown is None else f"Proxy-Authorization: {shown}\r\n"
    client.send(f"{first} HTTP/1.1\r\nHost: {API}\r\n{line}{more}\r\n".encode("latin-1"))
    return client.answer(first.split()[0])


def plainly(client: Client, shown: str | None, *, more: str = "") -> Answer:
    """A request in the clear, with the whole URL."""
    return ask(client, f"GET http://{API}/", shown, more=more)


@pytest.fixture
def guarded(world: World) -> World:
    """A proxy that demands a token."""
    world.handed.token = TOKEN
    return world


@pytest.mark.parametrize(
    "value",
    [
        *(GOOD, basic(f":{TEXT}"), basic(f"anybody:{TEXT}"), f"Bearer {TEXT}"),
        *(GOOD.replace("Basic", "bAsIc"), f"BEARER  {TEXT}"),
    ],
)
def test_a_token_is_shown(value: str) -> None:
    """As the password of whoever, or as it is; schemes have no case."""
    assert shows([value.encode()], TOKEN)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "Basic", "Bearer", "Basic ", "Bearer ", TEXT, f"Token {TEXT}", f"Digest {TEXT}"),
        *(basic(f"{TEXT}:moat"), basic(TEXT), basic(f"{TEXT}:"), basic(f"moat:{TEXT} ")),
        *(basic(f"moat:{TEXT}x"), basic(f"moat:{TEXT[:-1]}"), basic(f"moat:{TEXT.upper()}")),
        *(f"Bearer {TEXT}x", f"Bearer {TEXT[1:]}", f"Bearer {GOOD[6:]}", f"Basic {TEXT}"),
        *(GOOD + "!", GOOD[:-1] + "=", f"Bearer {TEXT}\xff", basic("moat:\0"), f"Bearer\t{TEXT}"),
    ],
)
def test_anything_else_is_no_token(value: str) -> None:
    """The twins, of which none raises."""
    assert not shows([value.encode("latin-1")], TOKEN)


def test_two_values_show_nothing() -> None:
    """Not even twice the right one: the next reader may take the other."""
    assert not shows([], TOKEN)
    assert not shows([GOOD.encode()] * 2, TOKEN)


def test_strangers_have_so_many_rows_and_no_more() -> None:
    """The last row stands for all to come, and says how many, whenever they have doubled."""
    strangers, numbers = Strangers(), itertools.count(1)
    rows = [strangers.next_row(lambda: next(numbers), "no") for _ in range(1000)]
    assert [(number, "no") for number in range(1, MAX_ROWS + 1)] == rows[:MAX_ROWS]
    later = [row for row in rows[MAX_ROWS:] if row is not None]
    assert [MAX_ROWS] * 5 == [number for number, _ in later]
    assert [32, 64, 128, 256, 512] == [int(said.split()[1]) for _, said in later]


@pytest.mark.parametrize("shown", [GOOD, f"Bearer {TEXT}"])
def test_a_tunnel_is_opened_to_who_shows_it(guarded: World, shown: str) -> None:
    """Once: what comes through the tunnel is not asked again, and nobody behind it is told."""
    client = guarded.client()
    head = f"CONNECT {API}:443 HTTP/1.1\r\nHost: {API}:443\r\nProxy-Authorization: {shown}\r\n\r\n"
    client.send(head.encode())
    assert b"HTTP/1.1 200 Connection established\r\n\r\n" == client.until(b"\r\n\r\n")
    client.sock = guarded._trust.wrap_socket(client.sock, server_hostname=API)
    assert 200 == client.get(more=f"Proxy-Authorization: {shown}\r\n").status
    assert 200 == client.get().status
    names = {name.lower() for request in guarded.server.requests for name, _ in request.headers}
    assert "proxy-authorization" not in names
    assert "authorization" in names  # of the grant


def test_each_request_in_the_clear_shows_it(guarded: World) -> None:
    """And none is sent on with it."""
    client = guarded.client()
    assert [200, 200] == [plainly(client, GOOD).status for _ in range(2)]
    assert [[], []] == [got.all("proxy-authorization") for got in guarded.plain.requests]
    assert 407 == plainly(client, None).status
    assert 2 == len(guarded.plain.requests)


@pytest.mark.parametrize("shown", [None, "", GOOD[:-4] + "AAA=", "Bearer nonsense", "Negotiate x"])
@pytest.mark.parametrize(
    "first",
    [
        *(f"CONNECT {API}:443", f"GET http://{API}/", f"GET https://{API}/", "GET /", "OPTIONS *"),
        *("CONNECT 169.254.169.254:80", "CONNECT nonsense", "GET http://[/", "HEAD http://x/"),
    ],
)
def test_who_does_not_show_it_is_told_how_and_nothing_else(
    guarded: World, first: str, shown: str | None
) -> None:
    """Whatever they ask: 407, the challenge, and the end of the connection."""
    client = guarded.client()
    line = "" if shown is None else f"Proxy-Authorization: {shown}\r\n"
    client.send(f"{first} HTTP/1.1\r\nHost: {API}\r\n{line}\r\n".encode())
    answer = client.answer()
    assert (407, ['Basic realm="moat"']) == (answer.status, answer.all("proxy-authenticate"))
    assert "urn:moat:problem:token-wanted" == answer.problem["type"]
    assert ["close"] == answer.all("connection")
    assert b"" == client.rest()
    assert guarded.untouched()
    assert [] == guarded.keys.asked
    ((entry, _),) = guarded.trace(1)
    assert ("refused", 407) == (entry.outcome, entry.status)


def test_an_older_http_is_asked_for_the_token_too(guarded: World) -> None:
    """Before it is told that it is not spoken here; the twin shows it."""
    for shown, expected in ((None, 407), (GOOD, 505)):
        client = guarded.client()
        line = "" if shown is None else f"Proxy-Authorization: {shown}\r\n"
        client.send(f"GET http://{API}/ HTTP/1.0\r\nHost: {API}\r\n{line}\r\n".encode())
        assert expected == client.answer().status


def test_without_a_token_nobody_is_challenged(world: World) -> None:
    """The twin: a proxy that has none."""
    assert 200 == plainly(world.client(), None).status
    answer = ask(world.client(), "GET /", None)
    assert (400, []) == (answer.status, answer.all("proxy-authenticate"))


def test_the_proxy_of_a_box_asks_nobody_who_knows_no_proxy(
    guarded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no place in such a request where a token could be shown."""
    names = Names()
    names.answer(parse_query(query(labels(API), A)), guarded.handed.session.policy)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def connection_made(self: DirectWire, transport: object) -> None:
        self.address, self.port = "198.18.0.1", 80
        Wire.connection_made(self, transport)  # type: ignore[arg-type]

    monkeypatch.setattr(DirectWire, "connection_made", connection_made)
    guarded.call(guarded.proxy.listen(listener, names))
    client = Client(socket.create_connection(("127.0.0.1", port)))
    with client.sock:
        assert 200 == client.get().status


def test_a_refusal_that_cannot_be_recorded_is_one_all_the_same(guarded: World) -> None:
    """Nobody is let in because the trace is full."""
    guarded.ledger.failing = True
    with pytest.raises(RecordError):
        guarded.ledger.record(1, None, None)  # type: ignore[arg-type]
    assert 503 == plainly(guarded.client(), None).status
    assert guarded.untouched()


def test_what_a_client_of_the_proxy_does_wrong_is_recorded_each_time(guarded: World) -> None:
    """Of those who showed the token every mistake has its row."""
    for _ in range(MAX_ROWS + 5):
        assert 400 == ask(guarded.client(), "GET /", GOOD).status
    assert [400] * (MAX_ROWS + 5) == [entry.status for entry, _ in guarded.trace(MAX_ROWS + 5)]
    assert 200 == plainly(guarded.client(), GOOD).status
