"""The helper that enters a box's namespaces, when there is nothing to enter."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from moat.errors import RuntimeUnavailable
from moat.runtimes.sandbox.bwrap import find_bwrap
from moat.runtimes.sandbox.devices import fix_devices
from moat.runtimes.sandbox.namespaces import inside
from moat.runtimes.sandbox.netns import listen_in_netns

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


def test_a_listener_is_in_the_box_and_nowhere_else(box: int) -> None:
    """Its port is free out here, and nobody out here reaches it."""
    listener = listen_in_netns(box, "127.0.0.1", 3128)
    with listener:
        assert ("127.0.0.1", 3128) == listener.getsockname()
        assert not os.get_inheritable(listener.fileno())
        with socket.socket() as outside, pytest.raises(OSError, match=r"refused|reset"):
            outside.connect(("127.0.0.1", 3128))


def test_a_port_that_is_taken_is_an_error(box: int) -> None:
    """The reason is passed on from where it happened."""
    with (
        listen_in_netns(box, "127.0.0.1", 3128),
        pytest.raises(RuntimeUnavailable, match=r"cannot listen inside the box: .*in use"),
    ):
        listen_in_netns(box, "127.0.0.1", 3128)


def test_a_process_that_is_gone_is_an_error() -> None:
    """It is told as one that a person can read."""
    with pytest.raises(RuntimeUnavailable, match=r"cannot listen inside the box: .*No such file"):
        listen_in_netns(NOBODY, "127.0.0.1", 3128)


def test_devices_are_guarded_or_it_is_an_error() -> None:
    """Where there are devices of ours to guard, a box that cannot be entered is none."""
    if os.stat("/dev/null").st_uid != os.geteuid():  # noqa: PTH116
        fix_devices(NOBODY)
        pytest.skip("the devices of this machine are not ours")
    with pytest.raises(RuntimeUnavailable, match="devices of the box cannot be guarded"):
        fix_devices(NOBODY)


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
