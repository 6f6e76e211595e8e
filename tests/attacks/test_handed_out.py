"""What a box hands out to somebody outside does not keep its run alive."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time

import pytest

from support.cli import Cli

pytestmark = pytest.mark.attack

HAND_OUT = """
import array, socket
wire = socket.socket(socket.AF_UNIX)
wire.connect("/workspace/outside")
proxy = socket.create_connection(("127.0.0.1", 3128))
rights = array.array("i", [1, proxy.fileno()])
wire.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
print("handed out", flush=True)
"""


@pytest.fixture
def python() -> str:
    """An interpreter that is in the box, too."""
    found = shutil.which("python3", path="/usr/bin")
    if found is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    return found


def test_a_run_ends_though_somebody_holds_its_descriptors(cli: Cli, python: str) -> None:
    """Its output and a connection to its proxy, held open by a process outside: the run ends with
    its command, and the proxy serves nobody any more."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(cli.workspace / "outside"))
    listener.listen()
    held: list[int] = []

    def hold() -> None:
        connection, _ = listener.accept()
        with connection:
            held.extend(socket.recv_fds(connection, 1, 2)[1])

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    began = time.monotonic()
    done = cli.run("run", "--", python, "-c", HAND_OUT, timeout=60)
    took = time.monotonic() - began
    holding.join(5)
    listener.close()

    assert (0, "handed out\n") == (done.returncode, done.stdout)
    assert 2 == len(held)
    with socket.socket(fileno=held[1]) as proxy:
        proxy.settimeout(5)
        assert b"" == proxy.recv(1)
    os.close(held[0])
    assert took < 20
