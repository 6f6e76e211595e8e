"""Where a proxy may listen on the host, as it is typed and as it is then."""

from __future__ import annotations

import socket

import pytest

from moat.errors import MoatError, UsageError
from moat.run.listening import Place, open_listener


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback", "near"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True, "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", 0, True, "127.0.0.1"),
        ("127.9.9.9:0", "127.9.9.9", 0, True, "127.9.9.9"),
        ("localhost:65535", "127.0.0.1", 65535, True, "127.0.0.1"),
        ("[::1]:80", "::1", 80, True, "::1"),
        ("[::1]", "::1", 0, True, "::1"),
        ("[0::0:1]:1", "::1", 1, True, "::1"),
        ("192.0.2.1:80", "192.0.2.1", 80, False, "192.0.2.1"),
        ("0.0.0.0:80", "0.0.0.0", 80, False, "127.0.0.1"),
        ("[::]:80", "::", 80, False, "::1"),
        ("[2001:db8::1]:80", "2001:db8::1", 80, False, "2001:db8::1"),
    ],
)
def test_a_place_is_an_address_and_a_port(
    text: str, host: str, port: int, loopback: bool, near: str
) -> None:
    """One spelling of each; whether others can reach it; how this machine does."""
    place = Place.parse(text)
    assert (host, port) == (place.host, place.port)
    assert (loopback, near) == (place.is_loopback, place.near)
    assert place == Place.parse(str(place))


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", ":80", "80", "example.com:80", "localhost.example:80", "127.1:80", "0x7f.1:80"),
        *("127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:080"),
        *("::1:80", "::1", "[::1]80", "[::1", "[fe80::1%lo]:80", "[127.0.0.1]:80", "*:80"),
        *("http://127.0.0.1:80", "127.0.0.1:80/", " 127.0.0.1:80", "127.0.0.1:8\u0660"),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """A name could mean another address tomorrow; how to write one is said."""
    with pytest.raises(UsageError) as caught:
        Place.parse(text)
    assert caught.value.message.startswith("--listen: ")
    assert caught.value.hint is not None


def test_it_listens_there_and_nowhere_else() -> None:
    """At a port that was free; on one address, and for IPv6 on that alone."""
    with open_listener(Place("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
        with open_listener(Place("127.0.0.2", port)):
            socket.create_connection(("127.0.0.2", port)).close()
    with open_listener(Place("::", 0)) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("::1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_port_is_had_by_one() -> None:
    """The other is told who to look for."""
    with open_listener(Place("127.0.0.1", 0)) as listener:
        taken = Place("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(MoatError, match=f"somebody listens at {taken} already") as caught:
            open_listener(taken)
        assert "moat list" in (caught.value.hint or "")
    open_listener(taken).close()


def test_an_address_of_another_machine_is_none_to_listen_at() -> None:
    """It is said so, and not in the system's words."""
    with pytest.raises(MoatError, match=r"192\.0\.2\.1 is no address of this machine"):
        open_listener(Place("192.0.2.1", 0))
