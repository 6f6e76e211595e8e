"""What a command in a box can do to the terminal the person sits at."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from support.cli import Cli
from support.pty import Terminal

pytestmark = pytest.mark.attack

PYTHON = shutil.which("python3", path="/usr/bin:/bin")

TYPE = """
import errno, fcntl, json, os
found = {}
for path in ("/dev/stdin", "/dev/tty", "/dev/console"):
    try:
        with open(path, "rb", 0) as terminal:
            fcntl.ioctl(terminal, 0x5412, b"x")  # TIOCSTI
            found[path] = "ok"
    except OSError as error:
        found[path] = errno.errorcode[error.errno]
found["device"] = os.fstat(0).st_rdev
print(json.dumps(found))
"""
OPEN_TTY = """
import errno, os
try:
    os.open("/dev/tty", os.O_RDWR)
    print("ok")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.fixture
def python() -> str:
    if PYTHON is None:
        pytest.skip("no python3 in /usr/bin to attack with")
    return PYTHON


def typed(terminal: Terminal, cli: Cli, command: list[str]) -> tuple[dict[str, object], bytes]:
    """What the attack said, and what the shell would find typed after it."""
    with terminal.running(cli, *command) as process:
        assert terminal.wait(process) == 0, terminal.look()
        said = terminal.look()  # what is typed may be echoed before it
        return json.loads(said[said.index(b"{") :]), terminal.unread()


def test_nothing_is_typed_into_the_persons_shell(user_cli: Cli, python: str) -> None:
    """A box has a terminal of its own, and cannot even type into that."""
    with Terminal() as terminal:
        found, unread = typed(
            terminal, user_cli, user_cli.command("run", "--", python, "-I", "-c", TYPE)
        )
        own = os.fstat(terminal.slave).st_rdev

    assert b"" == unread
    assert ("EPERM", "EPERM") == (found["/dev/stdin"], found["/dev/tty"])
    assert own != found["device"]


def test_without_a_box_it_is_typed(user_cli: Cli, python: str) -> None:
    """The attack works at a terminal that is shared with the person."""
    if Path("/proc/sys/dev/tty/legacy_tiocsti").read_text().strip() != "1":
        pytest.skip("this kernel lets nobody type into a terminal (dev.tty.legacy_tiocsti)")
    become = user_cli.python[:-1]
    with Terminal() as terminal:
        found, unread = typed(terminal, user_cli, [*become, python, "-I", "-c", TYPE])
        own = os.fstat(terminal.slave).st_rdev

    assert unread.startswith(b"x")
    assert "ok" == found["/dev/stdin"]
    assert own == found["device"]


@pytest.mark.parametrize(("boxed", "says"), [(True, "ENXIO"), (False, "ok")])
def test_pipes_come_without_the_persons_terminal(
    user_cli: Cli, python: str, boxed: bool, says: str
) -> None:
    """A box between pipes has no terminal, though the person who started it does."""
    attack = [python, "-I", "-c", OPEN_TTY]
    moat = user_cli.command("run", "--", *attack) if boxed else [*user_cli.python[:-1], *attack]
    become, command = user_cli.python[:-1], moat[len(user_cli.python) - 1 :]
    piped = [*become, "/bin/sh", "-c", '"$@" < /dev/null | cat', "sh", *command]
    with Terminal() as terminal, terminal.running(user_cli, *piped) as process:
        assert terminal.wait(process) == 0
        assert says in terminal.look().decode().split()
