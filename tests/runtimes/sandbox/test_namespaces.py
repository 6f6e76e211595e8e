"""The helper that enters a box's namespaces, when there is nothing to enter."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.errors import RuntimeUnavailable
from moat.runtimes.interface import BoxSockets
from moat.runtimes.sandbox import routes
from moat.runtimes.sandbox.bwrap import find_bwrap
from moat.runtimes.sandbox.namespaces import inside
from moat.runtimes.sandbox.netns import listen_in_netns
from moat.runtimes.sandbox.protect import protect
from moat.runtimes.sandbox.spawn import memory_file

HAS_IPV6 = Path("/proc/net/if_inet6").exists()
NOBODY = 2**22 + 1  # above the highest process id of any kernel


@pytest.fixture
def box() -> Iterator[int]:
    """A process in namespaces of its own."""
    command = [find_bwrap(), "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert b"up\n" == process.stdout.readline()
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        with open(children) as file:  # noqa: PTH123
            yield int(file.read().split()[0])
        process.stdin.close()


@pytest.fixture
def sockets(box: int) -> Iterator[BoxSockets]:
    """Those of that process."""
    made = listen_in_netns(box)
    yield made
    made.close()


def in_box(box: int, kind: int, address: str, port: int) -> socket.socket:
    """A socket connected from in there. Raises RuntimeUnavailable."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def connect() -> list[int]:
        client = socket.socket(family, kind)
        client.settimeout(5)
        client.connect((address, port))
        client.send(b"?")
        if kind == socket.SOCK_DGRAM:
            client.send(b"?")  # what became of the first is told to the second
        return [client.detach()]

    (descriptor,) = inside(box, "net", connect, failure="no way")
    return socket.socket(fileno=descriptor)


def test_sockets_are_in_the_box_and_nowhere_else(sockets: BoxSockets) -> None:
    """Their ports are free out here, and nobody out here reaches them."""
    made = (sockets.proxy, *sockets.direct, sockets.datagrams, sockets.streams)
    wanted = [("127.0.0.1", 3128), ("0.0.0.0", 443), ("0.0.0.0", 80)]
    if HAS_IPV6:
        wanted += [("::", 443), ("::", 80)]
    wanted += [("127.0.0.1", 53), ("127.0.0.1", 53)]
    assert wanted == [each.getsockname()[:2] for each in made]
    assert not any(os.get_inheritable(each.fileno()) for each in made)
    with socket.socket() as outside, pytest.raises(OSError, match=r"refused|reset"):
        outside.connect(("127.0.0.1", 3128))


needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
ADDRESSES = [
    *("192.0.2.1", "8.8.8.8", "198.18.0.1", "169.254.169.254", "127.0.0.1"),
    *(
        pytest.param(address, marks=needs_ipv6)
        for address in ("2001:db8::1", "fd4d:6f61:7400::1", "::1")
    ),
]


@pytest.mark.parametrize("port", [443, 80])
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_leads_here(box: int, sockets: BoxSockets, address: str, port: int) -> None:
    """At the ports of the web, and the address that was meant is told."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    (listener,) = (
        each for each in sockets.direct if (each.family, each.getsockname()[1]) == (family, port)
    )
    with in_box(box, socket.SOCK_STREAM, address, port) as client:
        listener.settimeout(5)
        met, _ = listener.accept()
        with met:
            assert (address, port) == met.getsockname()[:2]
            assert b"?" == met.recv(1)
            met.send(b"!")
        assert b"!" == client.recv(1)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_leads_nowhere_else(
    box: int, sockets: BoxSockets, address: str, kind: int
) -> None:
    """At another port, and by datagram, nobody answers, and the client is told at once."""
    ports = (81, 8443) if kind == socket.SOCK_STREAM else (443, 81)
    for port in ports:
        with pytest.raises(RuntimeUnavailable, match="Connection refused"):
            in_box(box, kind, address, port)


def test_no_route_leads_out(box: int, sockets: BoxSockets) -> None:
    """Loopback is all there is, to every address."""

    def look() -> list[int]:
        listed = Path("/proc/thread-self/net/route").read_bytes().splitlines()[1:]
        listed += Path("/proc/thread-self/net/ipv6_route").read_bytes().splitlines()
        names = b" ".join(name.encode() for _, name in socket.if_nameindex())
        return [memory_file("test", b"\n".join([names, *listed]))]

    (descriptor,) = inside(box, "net", look, failure="no way")
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a number, not a name
        interfaces, *listed = file.read().splitlines()
    assert b"lo" == interfaces
    assert listed
    assert [b"lo"] * len(listed) == [line.split()[-1] for line in listed]


def test_loopback_that_never_comes_up_is_an_error(
    box: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, and not for ever."""
    monkeypatch.setattr(routes, "_SECONDS", 0.05)

    def wait() -> list[int]:
        down = struct.pack("16sH14x", b"lo", 0)
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, 0x8914, down)  # SIOCSIFFLAGS
        routes.wait_for_loopback()
        return []

    with pytest.raises(RuntimeUnavailable, match="it cannot be: loopback is not up"):
        inside(box, "net", wait, failure="it cannot be")


def test_a_port_that_is_taken_is_an_error(box: int, sockets: BoxSockets) -> None:
    """The reason is passed on from where it happened."""
    with pytest.raises(RuntimeUnavailable, match=r"cannot listen inside the box: .*in use"):
        listen_in_netns(box)


def test_a_route_that_cannot_be_made_is_an_error(box: int) -> None:
    """As where there is one already."""

    def twice() -> list[int]:
        routes.keep_every_address(socket.AF_INET)
        routes.keep_every_address(socket.AF_INET)
        return []

    with pytest.raises(RuntimeUnavailable, match="no route to itself: File exists"):
        inside(box, "net", twice, failure="it cannot be")


def test_a_process_that_is_gone_is_an_error() -> None:
    """It is told as one that a person can read."""
    with pytest.raises(RuntimeUnavailable, match=r"cannot listen inside the box: .*No such file"):
        listen_in_netns(NOBODY)


def test_devices_are_guarded_or_it_is_an_error() -> None:
    """Where there are devices of ours to guard, a box that cannot be entered is none."""
    if os.stat("/dev/null").st_uid != os.geteuid():  # noqa: PTH116
        protect(NOBODY, ())
        pytest.skip("the devices of this machine are not ours")
    with pytest.raises(RuntimeUnavailable, match="must not change cannot be guarded"):
        protect(NOBODY, ())


def test_work_that_fails_is_an_error(box: int) -> None:
    """Even when it says nothing about it."""

    def die() -> list[int]:
        os._exit(3)

    def fail() -> list[int]:
        raise ValueError("not today")

    with pytest.raises(RuntimeUnavailable, match="cannot be: the helper died"):
        inside(box, "net", die, failure="it cannot be")
    with pytest.raises(RuntimeUnavailable, match="cannot be: not today"):
        inside(box, "net", fail, failure="it cannot be")
