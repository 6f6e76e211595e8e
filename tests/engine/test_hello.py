"""The server name of a TLS hello, which decides where a connection goes."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.engine.hello import Incomplete, server_name


def record(content: bytes, *, kind: int = 22, major: int = 3) -> bytes:
    """A TLS record."""
    return bytes((kind, major, 1)) + len(content).to_bytes(2) + content


def vector(content: bytes, size: int) -> bytes:
    """A field with its length before it."""
    return len(content).to_bytes(size) + content


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2) + vector(content, 2)


def sni(name: bytes, *, kind: int = 0) -> bytes:
    """The extension that names a server."""
    return extension(0, vector(bytes((kind,)) + vector(name, 2), 2))


def message(
    extensions: Iterable[bytes] | None = (sni(b"api.example.com"),),
    *,
    session: bytes = b"",
    ciphers: bytes = b"\x13\x01",
    compression: bytes = b"\0",
    kind: int = 1,
) -> bytes:
    """A ClientHello without its records."""
    body = b"\3\3" + bytes(32) + vector(session, 1) + vector(ciphers, 2) + vector(compression, 1)
    if extensions is not None:
        body += vector(b"".join(extensions), 2)
    return bytes((kind,)) + vector(body, 3)


def real_hello(name: str | None) -> bytes:
    """What OpenSSL says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def as_openssl_reads(data: bytes) -> str | type[Exception] | None:
    """The server name as our side of the handshake reads it; an error if it does not come to it."""
    said: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _, name, __: said.append(name) or 80  # internal_error: no further
    incoming = ssl.MemoryBIO()
    server = context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    incoming.write(data)
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    return said[0] if said else ssl.SSLError


HELLO = real_hello("api.example.com")


@pytest.mark.parametrize("name", ["api.example.com", "API.Example.COM", "a", "a" * 63 + ".example"])
def test_the_name_is_read_as_it_was_written(name: str) -> None:
    """By OpenSSL, and by hand."""
    assert name == server_name(real_hello(name))
    assert name == server_name(record(message([extension(10, b"\0"), sni(name.encode())])))


@pytest.mark.parametrize("data", [real_hello(None), record(message([])), record(message(None))])
def test_a_hello_may_name_nobody(data: bytes) -> None:
    """As those do that were given an address; the oldest have no extensions at all."""
    assert server_name(data) is None


def test_a_hello_may_come_in_pieces() -> None:
    """It asks for as much as is sure to be needed, and says the same in the end."""
    for size in range(len(HELLO)):
        with pytest.raises(Incomplete) as raised:
            server_name(HELLO[:size])
        assert size < raised.value.size <= len(HELLO)


@pytest.mark.parametrize("first", [1, 3, 4, 5, 40, 60])
def test_a_hello_may_come_in_several_records(first: int) -> None:
    """Cut anywhere; what comes behind them is of no interest."""
    whole = message()
    data = record(whole[:first]) + record(whole[first:])
    assert "api.example.com" == server_name(data + b"whatever")
    for size in range(len(data)):
        with pytest.raises(Incomplete):
            server_name(data[:size])


def test_an_encrypted_hello_goes_by_its_outer_name() -> None:
    """Browsers put something of the kind into every hello; it is the outer name that is met."""
    hidden = extension(0xFE0D, b"\0" + bytes(200))
    assert "front.example" == server_name(record(message([hidden, sni(b"front.example")])))


WHOLE = message()
BAD = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "an alert": record(b"\2\0", kind=21),
    "another protocol": record(WHOLE, major=2),
    "an empty record": record(b"") + record(WHOLE),
    "a record too long": b"\x16\3\1" + (2**14 + 1).to_bytes(2) + bytes(2**14 + 1),
    "another message": record(message(kind=2)),
    "a hello too long": record(b"\1" + (2**14).to_bytes(3) + bytes(100)),
    "too many records": b"".join(record(WHOLE[at : at + 1]) for at in range(len(WHOLE))),
    "more behind it": record(WHOLE + b"\1"),
    "no random": record(b"\1" + vector(b"\3\3" + bytes(31), 3)),
    "a session too long": record(message(session=bytes(33))),
    "no ciphers": record(message(ciphers=b"")),
    "no compression": record(message(compression=b"")),
    "more than extensions": record(b"\1" + vector(WHOLE[4:] + b"\0", 3)),
    "an extension cut short": record(message([sni(b"a.example")[:-1]])),
    "an extension twice": record(message([extension(10, b""), extension(10, b"")])),
    "two server names": record(message([sni(b"a.example"), sni(b"b.example")])),
    "two names in one": record(
        message([extension(0, vector(b"\0" + vector(b"a", 2) + b"\0" + vector(b"b", 2), 2))])
    ),
    "more than a list of names": record(
        message([extension(0, vector(b"\0" + vector(b"a", 2), 2) + b"\0")])
    ),
    "a name of another kind": record(message([sni(b"a.example", kind=1)])),
    "an empty name": record(message([sni(b"")])),
    "an empty list of names": record(message([extension(0, b"\0\0")])),
    "a name too long": record(message([sni(b"a" * 256)])),
    "a name that is no ASCII": record(message([sni("é.example".encode())])),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_read_is_refused(what: str) -> None:
    """Not repaired, and not waited for."""
    with pytest.raises(ValueError):
        server_name(BAD[what])


def test_the_longest_hello_is_read() -> None:
    """The twin of what is too long: this much may come."""
    filling = extension(21, bytes(12_000))
    whole = message([filling, sni(b"a.example")])
    cut = 10_000
    assert "a.example" == server_name(record(whole[:cut]) + record(whole[cut:]))


@settings(deadline=None)
@given(st.binary(max_size=400) | st.binary(max_size=200).map(record))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    """Nothing else comes of it, and not without an end."""
    with pytest.raises((Incomplete, ValueError)) as raised:
        server_name(data)
    if isinstance(raised.value, Incomplete):
        assert len(data) < raised.value.size <= len(data) + 5 + 2**14


@settings(deadline=None)
@given(st.data())
def test_openssl_never_reads_another_name(data: st.DataObject) -> None:
    """Whatever is done to a hello: the name that decides is the one that is met, or none is."""
    changed = bytearray(HELLO)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        how = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if how == "set":
            changed[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del changed[at]
        else:
            changed.insert(at, data.draw(st.integers(0, 255)))
    try:
        ours = server_name(bytes(changed))
    except (Incomplete, ValueError):
        return
    theirs = as_openssl_reads(bytes(changed))
    assert theirs in (ours, ssl.SSLError)


def test_openssl_reads_the_same_name() -> None:
    """The twin: what is compared there is read by both."""
    assert "api.example.com" == as_openssl_reads(HELLO) == server_name(HELLO)
    assert as_openssl_reads(real_hello(None)) is None
