"""Requests over HTTP/1.1 as they may be and as they may not: each refusal beside what is allowed.

What is refused is never forwarded, and neither is what follows it on the connection. What is
allowed reaches the server in these bytes and no others.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from proxy.support import API, KEY, World, get
from proxy.tape import Tape, head

SMUGGLED = get("/smuggled")
HOST = f"Host: {API}"
AUTH = f"Authorization: Bearer {KEY}"
CHUNKED = "Transfer-Encoding: chunked"


@dataclass(frozen=True)
class Case:
    """What is refused, with which status; what is allowed, and how it goes out.

    `in_body` says that the fault is in the body; `plain`, that no credential goes along, as
    trailers do not where one does.
    """

    name: str
    refused: bytes
    allowed: bytes
    sent: bytes
    status: int = 400
    in_body: bool = False
    plain: bool = False


def ask(*fields: str, line: str = "GET / HTTP/1.1") -> bytes:
    """A request to API without a body."""
    return head(line, HOST, *fields)


def sent(*fields: str, line: str = "GET / HTTP/1.1", last: str | None = None) -> bytes:
    """A request as a server gets it, with the credential; `last` is how its body is framed."""
    return head(line, HOST, *fields, AUTH, *([last] if last else []))


PLAIN = ask(), sent()
NO_CHUNK = b"0\r\n\r\n"
POST = "POST / HTTP/1.1"


def field(name: str, refused: str, allowed: str, status: int = 400) -> Case:
    """Two header lines, alike but for the one thing."""
    return Case(name, ask(refused), ask(allowed), sent(allowed), status)


def line(name: str, refused: str, allowed: str, status: int = 400) -> Case:
    """Two request lines."""
    return Case(name, ask(line=refused), ask(line=allowed), sent(line=allowed), status)


def chunks(name: str, refused: bytes, allowed: bytes, out: bytes) -> Case:
    """Two bodies in chunks, up to what ends them."""
    begin, end = ask(CHUNKED, line=POST), sent(line=POST, last=CHUNKED)
    return Case(name, begin + refused, begin + allowed, end + out, in_body=True)


def sizes(name: str, refused: bytes, allowed: bytes) -> Case:
    """Two bodies of one byte, in a chunk."""
    out = b"1\r\n!\r\n0\r\n\r\n"
    return chunks(name, refused + NO_CHUNK, allowed + NO_CHUNK, out)


def trailers(name: str, refused: bytes, allowed: bytes) -> Case:
    """What stands behind the last chunk."""
    end = b"0\r\n" + allowed + b"\r\n\r\n"
    begin = head(POST, HOST, CHUNKED)
    refused = begin + b"0\r\n" + refused + b"\r\n\r\n"
    return Case(name, refused, begin + end, begin + end, in_body=True, plain=True)


def lengths(name: str, refused: tuple[str, ...], allowed: str = "5") -> Case:
    """Two ways to state the length of a body."""
    stated = f"Content-Length: {allowed}"
    return Case(
        name,
        ask(*refused, line=POST) + b"hello",
        ask(stated, line=POST) + b"hello",
        sent(stated, line=POST) + b"hello",
    )


def codings(name: str, refused: tuple[str, ...], allowed: str = CHUNKED) -> Case:
    """Two ways to say that chunks follow."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    return Case(
        name,
        ask(*refused, line=POST) + body,
        ask(allowed, line=POST) + body,
        sent(line=POST, last=CHUNKED) + body,
    )


def hosts(name: str, refused: tuple[str, ...], allowed: str = HOST, status: int = 400) -> Case:
    """Two ways to name the host."""
    target = "GET / HTTP/1.1"
    return Case(name, head(target, *refused), head(target, allowed), sent(), status)


LENGTH_5 = "Content-Length: 5"
LONG = "a" * 70_000
FITS = "a" * 60_000

CASES = [
    # where it goes
    hosts("no-host", ("X-Host: a",)),
    hosts("empty-host", ("Host:",)),
    hosts("two-hosts", (HOST, HOST)),
    hosts("two-hosts-that-differ", (HOST, "hOsT: evil.example"), "hOsT: " + API),
    hosts("listed-hosts", (f"{HOST}, {API}",)),
    hosts("another-host", ("Host: other.example.com",), status=421),
    hosts("another-port", (f"{HOST}:8443",), f"{HOST}:443", 421),
    hosts("host-below", (f"Host: x.{API}",), f"Host: {API}.", 421),
    hosts("user-information", (f"Host: evil.example@{API}",), f"Host: {API.upper()}"),
    hosts("a-path-in-the-host", (f"{HOST}/x",)),
    line("absolute-form", f"GET https://{API}/ HTTP/1.1", "GET /?u=https://evil.example HTTP/1.1"),
    line("absolute-form-elsewhere", "GET https://evil.example/ HTTP/1.1", "GET // HTTP/1.1"),
    line("authority-form", f"GET {API}:443 HTTP/1.1", f"GET /{API}:443 HTTP/1.1"),
    line("connect-inside", f"CONNECT {API}:443 HTTP/1.1", "connect / HTTP/1.1", 421),
    line("connect-to-a-path", "CONNECT / HTTP/1.1", "CONNECTED / HTTP/1.1", 421),
    line("asterisk", "GET * HTTP/1.1", "OPTIONS * HTTP/1.1"),
    line("fragment", "GET /a#b HTTP/1.1", "GET /a%23b HTTP/1.1"),
    # the request line
    line("two-blanks", "GET  / HTTP/1.1", "GET /%20 HTTP/1.1"),
    line("tabs", "GET\t/\tHTTP/1.1", "GET /%20%20 HTTP/1.1"),
    line("a-blank-behind", "GET / HTTP/1.1 ", "GET /+ HTTP/1.1"),
    line("a-blank-before", " GET / HTTP/1.1", "G / HTTP/1.1"),
    line("a-blank-in-the-target", "GET /a b HTTP/1.1", "GET /a+b HTTP/1.1"),
    line("no-version", "GET /", "GET /HTTP/1.1 HTTP/1.1"),
    line("small-letters", "GET / http/1.1", "get / HTTP/1.1"),
    line("http-1-0", "GET / HTTP/1.0", "GET /1.0 HTTP/1.1", 505),
    line("http-1-2", "GET / HTTP/1.2", "GET /1.2 HTTP/1.1"),
    line("http-2", "GET / HTTP/2.0", "PRI / HTTP/1.1"),
    line("http-1-10", "GET / HTTP/1.10", "GET /1.10 HTTP/1.1"),
    line("bytes-in-the-target", "GET /\xfc HTTP/1.1", "GET /%C3%BC HTTP/1.1"),
    line("NUL-in-the-target", "GET /\0 HTTP/1.1", "GET /0 HTTP/1.1"),
    line("CR-in-the-target", "GET /\rX HTTP/1.1", "GET /X HTTP/1.1"),
    line("a-colon-in-the-method", "GE:T / HTTP/1.1", "GE!T / HTTP/1.1"),
    Case("an-empty-line-before", b"\r\n" + ask(), *PLAIN),
    Case("TLS-inside", b"\x16\x03\x01\0\0\r\n\r\n", *PLAIN),
    # header lines
    field("a-blank-before-the-colon", "X : 1", "X: :1"),
    field("a-tab-before-the-colon", "X\t: 1", "X: 1\t2"),
    field("no-colon", "X", "X: "),
    field("no-name", ": 1", "!: 1"),
    field("a-blank-in-the-name", "X Y: 1", "X-Y: 1"),
    field("brackets-in-the-name", "X(Y): 1", "X: (Y)"),
    field("bytes-in-the-name", "\xfc: 1", "X: \xfc"),
    field("NUL-in-the-name", "X\0: 1", "X0: 1"),
    field("NUL-in-the-value", "X: a\0b", "X: a0b"),
    field("control-in-the-value", "X: a\x01b", "X: a\tb"),
    field("DEL-in-the-value", "X: a\x7fb", "X: a~b"),
    field("CR-in-the-value", "X: a\rY: b", "X: a\\rY: b"),
    field("CR-at-the-end", "X: a\r", "X: a"),
    field("LF-in-the-value", "X: a\nY: b", "X: a; Y: b"),
    field("folded", "X: a\r\n b", "X: a b"),
    field("folded-by-a-tab", "X: a\r\n\tb", "X: a\tb"),
    Case("folded-at-once", head("GET / HTTP/1.1", " X: 1", HOST), *PLAIN),
    Case("LF-for-line-ends", ask().replace(b"\r\n", b"\n"), *PLAIN),
    Case("LF-at-the-end", ask()[:-4] + b"\n\n", *PLAIN),
    Case("CR-for-line-ends", ask().replace(b"\r\n", b"\r") + b"\r\n\r\n", *PLAIN),
    field("a-long-head", f"X: {LONG}", f"X: {FITS}", 431),
    line("a-long-target", f"GET /{LONG} HTTP/1.1", f"GET /{FITS} HTTP/1.1", 431),
    Case("many-headers", ask(*["X: 1"] * 20_000), ask("X: 1", "X: 1"), sent("X: 1", "X: 1"), 431),
    # how long the body is
    lengths("length-and-chunks", (LENGTH_5, CHUNKED)),
    codings("chunks-and-length", (CHUNKED, LENGTH_5)),
    codings("chunks-and-length-0", (CHUNKED, "Content-Length: 0")),
    lengths("two-lengths", (LENGTH_5, LENGTH_5)),
    lengths("two-lengths-that-differ", ("Content-Length: 0", LENGTH_5)),
    lengths("listed-lengths", ("Content-Length: 5, 5",)),
    lengths("signed-length", ("Content-Length: +5",)),
    lengths("negative-length", ("Content-Length: -5",)),
    lengths("hexadecimal-length", ("Content-Length: 0x5",), "05"),
    lengths("fractional-length", ("Content-Length: 5.0",), "0005"),
    lengths("empty-length", ("Content-Length:",)),
    lengths("two-numbers", ("Content-Length: 5 5",)),
    lengths("another-script", ("Content-Length: \xb2",)),
    lengths("huge-length", ("Content-Length: 18446744073709551621",)),
    lengths("length-of-the-connection", (LENGTH_5, "Connection: content-length")),
    codings("chunks-twice", (CHUNKED, CHUNKED)),
    codings("chunks-listed-twice", (f"{CHUNKED}, chunked",)),
    codings("identity-behind", (CHUNKED, "Transfer-Encoding: identity")),
    codings("identity-listed", (f"{CHUNKED}, identity",)),
    codings("compressed", ("Transfer-Encoding: gzip, chunked",)),
    codings("another-coding", ("Transfer-Encoding: xchunked",), "Transfer-Encoding: Chunked"),
    codings("a-parameter", (f"{CHUNKED};q=1",), "transfer-encoding:chunked"),
    codings("an-empty-element", (f"{CHUNKED},",), "Transfer-Encoding: \t chunked \t"),
    codings("a-vertical-tab", ("Transfer-Encoding: \x0bchunked",)),
    codings("quoted", ('Transfer-Encoding: "chunked"',)),
    codings("a-blank-before-its-colon", ("Transfer-Encoding : chunked",)),
    codings("behind-a-bare-CR", ("X: y\rTransfer-Encoding: chunked",)),
    codings("behind-a-bare-LF", ("X: y\nTransfer-Encoding: chunked",)),
    codings("folded-coding", ("Transfer-Encoding:\r\n chunked",)),
    codings("chunks-of-the-connection", (CHUNKED, "Connection: transfer-encoding")),
    Case(
        "chunks-in-http-1-0",
        ask(CHUNKED, line="POST / HTTP/1.0") + b"0\r\n\r\n",
        ask(CHUNKED, line=POST) + b"0\r\n\r\n",
        sent(line=POST, last=CHUNKED) + b"0\r\n\r\n",
        505,
    ),
    # chunks
    chunks("no-size", b"\r\n0\r\n\r\n", NO_CHUNK, NO_CHUNK),
    chunks("a-sign", b"+0\r\n\r\n", b"0000\r\n\r\n", NO_CHUNK),
    chunks("a-prefix", b"0x0\r\n\r\n", b"0;x0\r\n\r\n", NO_CHUNK),
    chunks("a-blank-before-a-size", b" 0\r\n\r\n", b"0 ;x\r\n\r\n", NO_CHUNK),
    chunks("LF-at-the-end-of-chunks", b"0\r\n\n", NO_CHUNK, NO_CHUNK),
    sizes("a-size-that-overflows", b"10000000000000001\r\n!\r\n", b"00000001\r\n!\r\n"),
    sizes("a-chunk-too-long", b"1\r\n!!\r\n", b"1\r\n!\r\n"),
    sizes("a-chunk-with-another-end", b"1\r\n!XX", b"1\r\n!\r\n"),
    sizes("a-chunk-too-short", b"3\r\n!\r\n", b"01\r\n!\r\n"),
    sizes("LF-behind-a-size", b"1\n!\r\n", b"1;a=b\r\n!\r\n"),
    sizes("LF-behind-a-chunk", b"1\r\n!\n", b"1;\r\n!\r\n"),
    sizes("CR-in-an-extension", b"1;a\rb\r\n!\r\n", b"1;a\tb\r\n!\r\n"),
    sizes("LF-in-an-extension", b"1;a\nb\r\n!\r\n", b'1;a="b"\r\n!\r\n'),
    sizes("a-long-extension", b"1;%b\r\n!\r\n" % (b"a" * 9000), b"1;%b\r\n!\r\n" % (b"a" * 3000)),
    trailers("length-as-a-trailer", b"Content-Length: 5", b"X-Length: 5"),
    trailers("coding-as-a-trailer", b"transfer-encoding: chunked", b"X-Coding: chunked"),
    trailers("host-as-a-trailer", b"host: evil.example", b"X-Host: evil.example"),
    trailers("credential-as-a-trailer", b"Authorization: mine", b"X-Sum: mine"),
    trailers("cookie-as-a-trailer", b"Cookie: a=b", b"X-Cookie: a=b"),
    trailers("a-folded-trailer", b"X: a\r\n b", b"X: a b"),
    trailers("LF-in-a-trailer", b"X: a\nY: b", b"X: a\r\nY: b"),
]  # fmt: skip


@pytest.mark.attack
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_refused(world: World, case: Case) -> None:
    """Readably, and the connection ends; neither it nor what follows reaches anybody."""
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(case.refused + SMUGGLED)
    answer = client.answer()
    assert (case.status, ["close"]) == (answer.status, answer.all("connection"))
    assert client.rest() == b""
    assert not tape.heard
    assert case.in_body or not world.keys.asked
    ((entry, _),) = world.trace(1)
    assert (case.in_body, case.status) == (entry.outcome == "failed", entry.status)
    assert case.in_body or entry.outcome == "refused"


HOSTS = [case for case in CASES if "host" in case.name and not case.in_body]


@pytest.mark.attack
@pytest.mark.parametrize("case", HOSTS, ids=[case.name for case in HOSTS])
def test_refused_behind_another(world: World, case: Case) -> None:
    """That one host was found right says nothing of the next."""
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(ask() + case.refused + SMUGGLED)
    assert [200, case.status] == [client.answer().status, client.answer().status]
    assert client.rest() == b""
    assert sent() == tape.only()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_allowed(world: World, case: Case) -> None:
    """In these bytes and no others, and the connection goes on."""
    if case.plain:
        world.allow(API, inject=())
    tape = Tape(world.server)
    client = world.tunnel()
    client.send(case.allowed + get("/next"))
    assert [200, 200] == [client.answer().status, client.answer().status]
    line = "GET /next HTTP/1.1"
    assert case.sent + (ask(line=line) if case.plain else sent(line=line)) == tape.only()
    assert ["forwarded"] * 2 == [entry.outcome for entry, _ in world.trace(2)]
