"""What a command in a box can do to the terminal the person sits at."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from support.cli import Cli
from support.pty import Terminal
from support.tmux import Tmux

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
        found, _ = json.JSONDecoder().raw_decode(said[said.index(b"{") :].decode())
        return found, terminal.unread()


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


# Has the screen scroll in a part of it alone, spelled as few do, and goes to its last line.
NARROW = ("000001;2r", "1;2;3r", "0;2r", "01;02r")


@pytest.mark.parametrize("margins", NARROW)
def test_a_receipt_is_not_written_over_itself(cli: Cli, tmp_path: Path, margins: str) -> None:
    """As tmux shows it: what was changed that runs something on the host stands above the shell."""
    script = f"mkdir n; echo x >n/.envrc; printf '\\033[{margins}\\033[24;1H'"
    words = shlex.join(cli.command("run", "--", "sh", "-c", script))
    recording = tmp_path / "w"
    with Tmux((80, 24), cwd=cli.workspace, environ=cli.environ(), recording=recording) as tmux:
        tmux.type(f"clear; {words}; echo en''ded")
        tmux.press("Enter")
        screen = tmux.wait_for("ended")
    assert any(row.startswith("run ") for row in screen), screen
    assert any("n/.envrc" in row for row in screen if "printf" not in row), screen


@pytest.mark.parametrize(
    ("option", "kept"), [([], True), (["--unfiltered"], False)], ids=["filtered", "unfiltered"]
)
def test_what_has_scrolled_by_stays(
    cli: Cli, tmp_path: Path, option: list[str], kept: bool
) -> None:
    """Erased or reset as a program may, in tmux; a program that may do anything erases it."""
    script = "printf 'a\\033[3J\\033c\\033[H\\033[2J\\033[3Jcleared'"
    words = shlex.join(cli.command("run", *option, "--", "sh", "-c", script))
    recording = tmp_path / "w"
    with Tmux((80, 24), cwd=cli.workspace, environ=cli.environ(), recording=recording) as tmux:
        tmux.type("seq 1000 1100")
        tmux.press("Enter")
        tmux.wait_for("1100")
        tmux.type(f"{words}; echo en''ded")
        tmux.press("Enter")
        screen = tmux.wait_for("ended")
        assert screen[0].startswith("cleared")
        assert kept == ("1000" in tmux.history())


# What costs a terminal most for what it is to print: a character, again and again, to the edge.
DEAR = r"""
import os
import shlex
data = ("\u6f22" + "\x1b[999b" * 700 + "\x1bc" * 700).encode()
while True:
    os.write(1, data)
"""


def test_who_prints_without_a_pause_keeps_nobody_from_their_turn(cli: Cli, python: str) -> None:
    """However dear its screen is to keep: its time runs out, and it is stopped when it is told."""
    with Terminal(rows=80, columns=300) as terminal:
        command = ("run", "--timeout", "3s", "--", python, "-c", DEAR)
        with terminal.running(cli, *cli.command(*command)) as process:
            assert 124 == terminal.wait(process, seconds=40)
        with terminal.running(cli, *cli.command("run", "--", python, "-c", DEAR)) as process:
            terminal.wait_for("\u6f22".encode())
            for _ in range(20):
                terminal.look()
            (run,) = [run["run"] for run in cli.runs() if run["exit_code"] is None]
            stopping = subprocess.Popen(cli.command("stop", run), env=cli.environ())
            assert 143 == terminal.wait(process, seconds=40)
            assert 0 == stopping.wait(20)


# Sets the clipboard, asks where the cursor is, what this is, and what the title is.
ASKS = r"printf '\033]52;c;aGVsbG8=\007\033[6n\033[c\033[21t\033[1mbold\033[m'"


@pytest.mark.parametrize("stream", ["1", "2"])
@pytest.mark.parametrize("unfiltered", [False, True])
def test_a_run_without_a_terminal_does_nothing_to_the_persons(
    cli: Cli, stream: str, unfiltered: bool
) -> None:
    """What goes through pipes is filtered where it comes out on a terminal, unless it is not to
    be; colours pass."""
    option = ["--unfiltered"] if unfiltered else []
    command = cli.command("run", *option, "--", "sh", "-c", f"({ASKS}) >&{stream}")
    with Terminal() as terminal:
        shell = ["/bin/sh", "-c", f"{shlex.join(command)} < /dev/null"]
        with terminal.running(cli, *shell) as process:
            assert 0 == terminal.wait(process)
        seen = terminal.look()
    assert b"\x1b[1mbold\x1b[m" in seen
    for what in (b"\x1b]52;", b"\x1b[6n", b"\x1b[c", b"\x1b[21t"):
        assert unfiltered == (what in seen), seen


def test_nor_does_a_further_command(cli: Cli) -> None:
    """Without a terminal of its own it is filtered, too."""
    done = cli.run("run", "-d", "--", "sleep", "60")
    try:
        with Terminal() as terminal:
            command = cli.command("exec", done.stdout.strip(), "--", "sh", "-c", ASKS)
            with terminal.running(cli, *command) as process:
                assert 0 == terminal.wait(process)
            seen = terminal.look()
        assert b"bold" in seen
        assert not [what for what in (b"\x1b]52;", b"\x1b[6n", b"\x1b[c") if what in seen]
    finally:
        cli.run("kill", done.stdout.strip())
