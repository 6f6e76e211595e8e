"""The resolver of a box, over its sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from moat.engine.dns import AAAA, MAX_MESSAGE, A
from moat.engine.names import Names
from moat.proxy import resolver
from moat.proxy.resolver import Resolver
from proxy.support import API, PATIENCE, World, eventually
from support.dns import labels, query


class Asking:
    """A client of a resolver."""

    def __init__(self, datagrams: socket.socket, streams: socket.socket) -> None:
        self._udp, self._tcp = datagrams.getsockname(), streams.getsockname()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(self._udp)

    def ask(self, name: str, kind: int = A) -> tuple[int, bytes]:
        """How it went, and the address."""
        message = query(labels(name), kind)
        self.socket.send(message)
        return told(message, self.socket.recv(2000))

    def connect(self) -> socket.socket:
        """Insist on a connection."""
        return socket.create_connection(self._tcp, timeout=PATIENCE)


def told(message: bytes, answer: bytes) -> tuple[int, bytes]:
    """The code of an answer, and the address in it."""
    assert message[:2] == answer[:2]
    return answer[3] & 15, answer[len(message) + 12 :]


@pytest.fixture
def asking(world: World) -> Iterator[Asking]:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    streams = socket.create_server(("127.0.0.1", 0))
    served = Resolver(world.handed, Names())

    async def close() -> None:
        served.close()

    world.call(served.serve(datagrams, streams))
    client = Asking(datagrams, streams)
    try:
        yield client
    finally:
        client.socket.close()
        world.call(close())
        datagrams.close()
        streams.close()
        assert eventually(lambda: not served._connections)


FIRST, FIRST_V6 = bytes((198, 18, 0, 1)), bytes.fromhex("fd4d6f617400" + "00" * 8 + "0001")


def test_a_name_that_may_be_allowed_has_addresses(asking: Asking) -> None:
    """The same ones every time, however its letters are written."""
    assert (0, FIRST) == asking.ask(API)
    assert (0, FIRST_V6) == asking.ask(API.upper(), AAAA)
    assert (0, FIRST) == asking.ask(API + ".")
    assert (0, b"") == asking.ask(API, 65)


def test_a_refused_name_has_none_and_is_recorded_once(world: World, asking: Asking) -> None:
    """With the verdict on it, as on a request."""
    for _ in range(2):
        assert (3, b"") == asking.ask("evil.example")
        assert (3, b"") == asking.ask("EVIL.example", AAAA)
    assert (3, b"") == asking.ask("txt.example", 16)
    ((entry, _),) = world.trace(1)
    assert ("DNS", "dns://evil.example", "refused") == (entry.method, entry.url, entry.outcome)
    assert "no rule allows evil.example" == entry.error
    assert entry.verdict is not None
    assert not entry.verdict.allowed


def test_what_is_recorded_is_bounded(
    world: World, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box that asks for ever more names fills nobody's disk."""
    monkeypatch.setattr(resolver, "_RECORDED", 3)
    for number in range(10):
        assert (3, b"") == asking.ask(f"{number}.evil.example")
    assert len(world.trace(3)) == 3


def test_a_trace_that_cannot_be_written_changes_nothing(world: World, asking: Asking) -> None:
    """The name is refused all the same."""
    world.ledger.failing = True
    assert (3, b"") == asking.ask("evil.example")
    assert (0, FIRST) == asking.ask(API)


def test_policy_is_asked_every_time(world: World, asking: Asking) -> None:
    """What is allowed while a run lasts resolves from then on, what is denied no longer."""
    assert (3, b"") == asking.ask("late.example")
    world.allow("late.example")
    assert (0, FIRST) == asking.ask("late.example")
    assert (3, b"") == asking.ask(API)


def test_garbage_gets_no_answer(asking: Asking) -> None:
    """And does not keep others from theirs."""
    for message in (b"", b"?", query()[:-1], bytes(MAX_MESSAGE + 1), query(flags=0x8180)):
        asking.socket.send(message)
    assert (0, FIRST) == asking.ask(API)


def test_many_questions_at_once_are_answered(asking: Asking) -> None:
    """More than are taken in one go."""
    count = 3 * resolver._AT_ONCE
    for number in range(count):
        asking.socket.send(query(labels(API), number=number))
    answers = {struct.unpack("!H", asking.socket.recv(2000)[:2])[0] for _ in range(count)}
    assert set(range(count)) == answers


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2) + message


def received(client: socket.socket) -> bytes:
    with client.makefile("rb") as file:
        return file.read()


def test_connections_are_served_too(asking: Asking) -> None:
    """Several questions on one, in whatever pieces they come."""
    messages = [query(labels(name)) for name in (API, "evil.example", API)]
    with asking.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"".join(map(framed, messages)):
            client.send(bytes((byte,)))
        client.shutdown(socket.SHUT_WR)
        answers = received(client)
    found = []
    for message in messages:
        size = int.from_bytes(answers[:2])
        found.append(told(message, answers[2 : 2 + size]))
        answers = answers[2 + size :]
    assert b"" == answers
    assert [(0, FIRST), (3, b""), (0, FIRST)] == found


@pytest.mark.parametrize("sent", [framed(b"?"), b"\xff\xff", framed(query(flags=0x8180))])
def test_a_connection_that_brings_garbage_ends(asking: Asking, sent: bytes) -> None:
    """At once, and it alone."""
    with asking.connect() as client:
        client.sendall(sent)
        assert ended(client)
    assert (0, FIRST) == asking.ask(API)


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_ends_in_time(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing holds nothing."""
    monkeypatch.setattr(resolver, "_CONNECTION_SECONDS", 0.05)
    with asking.connect() as client:
        assert ended(client)


def test_connections_are_bounded(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is turned away; when one ends there is room again."""
    monkeypatch.setattr(resolver, "_CONNECTIONS", 1)
    with asking.connect() as first:
        first.sendall(framed(query(labels(API))))
        assert first.recv(2)
        with asking.connect() as second:
            assert ended(second)
        first.sendall(framed(query(labels(API))))
        assert first.recv(2)


def test_questions_on_a_connection_are_bounded(asking: Asking) -> None:
    """None keeps the run busy with itself alone."""
    count = resolver._CONNECTION_QUESTIONS
    question = framed(query(labels(API)))
    with asking.connect() as client:
        client.sendall(question * count)
        size = count * (len(question) + 16)
        with client.makefile("rb") as file:
            assert size == len(file.read(size))
        client.sendall(question)
        assert ended(client)
