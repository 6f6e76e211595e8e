"""Leaving a run and coming back to it, in real terminals."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.cli import Cli
from support.processes import cmdline, is_alive, processes_with, wait_until
from support.pty import Terminal
from support.runs import ending_all, start_in_background, supervisors_of
from support.tmux import Tmux, modes_left

pytestmark = pytest.mark.e2e

ARROW = "\u203a"
LEAVE = ("C-_", "d")  # what tmux calls ctrl-/
BYES = b"\x1fd"

# Colours, another screen, wide characters, the mouse; then it says what is typed, and its size.
DRAWS = r"""
trap 'printf "\033[14;1Hsize %s  " "$(stty size)"' WINCH
printf '\033[?1049h\033[2J\033[H\033[1;31mred\033[m \033[44;33mblue\033[m \033[4mline\033[m'
printf '\033[3;4H日本語 é \033[38;2;1;200;3mrgb\033[m \033[48;5;93mpalette\033[m'
printf '\033[?1000;1006h\033[?2004h\033[?1h\033=\033[10;1H'
while [ ! -e end ]; do
  if read -r line; then printf '\033[12;1Htyped %s \033[10;1H\033[K' "$line"; fi
done
printf '\033[?1049l\033[?1000;1006l\033[?2004l\033[?1l\033>'
"""

Open = Callable[..., Tmux]


@pytest.fixture
def person(user_cli: Cli) -> Iterator[Cli]:
    """The command line of a user; what it has left running is ended with the test."""
    (user_cli.workspace / "draws").write_text(DRAWS)
    with ending_all(user_cli):
        yield user_cli


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Open]:
    """Opens windows, each with a shell in it."""
    with ExitStack() as stack:
        count = iter(range(100))

        def begin(cli: Cli, size: tuple[int, int] = (80, 24)) -> Tmux:
            recording = tmp_path / f"recording-{next(count)}"
            terminal = Tmux(size, cwd=cli.workspace, environ=cli.environ(), recording=recording)
            return stack.enter_context(terminal)

        yield begin


def enter(terminal: Tmux, cli: Cli, *words: str) -> None:
    """Type a command line of Moat."""
    # As somebody else, if that is who it is; the window is ours.
    terminal.type("clear; " + shlex.join(cli.command(*words)))
    terminal.press("Enter")


def looks(terminal: Tmux) -> tuple[object, ...]:
    """All that is seen of a terminal."""
    return terminal.styled(), terminal.flags(), terminal.cursor()


def leave(terminal: Tmux) -> None:
    """Press the keys that leave, and wait for the shell."""
    terminal.press(*LEAVE)
    terminal.wait_for("goes on: you have left it")


def test_who_comes_back_finds_it_as_it_was(person: Cli, window: Open) -> None:
    """The same colours, characters, cursor and modes; typing goes on; and it ends as it would."""
    terminal = window(person)
    untouched = terminal.flags()
    enter(terminal, person, "run", "--", "sh", "draws")
    terminal.wait_for("rgb", "palette")
    terminal.type("one")
    terminal.press("Enter")
    terminal.wait_for("typed one")
    before = looks(terminal)
    assert untouched != terminal.flags()
    for _ in range(2):
        leave(terminal)
        assert untouched == terminal.flags()
        assert not any("rgb" in row for row in terminal.screen())
        wait_until(lambda: "running" == person.runs()[0]["state"], what="it goes on")
        enter(terminal, person, "attach")
        terminal.wait_for("rgb", "typed one")
        wait_until(lambda: looks(terminal) == before, what="it looks as before")
    terminal.type("two")
    terminal.press("Enter")
    terminal.wait_for("typed two")
    (person.workspace / "end").touch()
    terminal.press("Enter")
    terminal.wait_for("exit code 0, after")
    assert untouched == terminal.flags()
    assert set() == modes_left(terminal.written)


def test_who_comes_back_somewhere_else_finds_it_too(person: Cli, window: Open) -> None:
    """In another window, with the size of that, and with each size it is given then."""
    first = window(person, (80, 24))
    enter(first, person, "run", "--", "sh", "draws")
    first.wait_for("rgb")
    leave(first)
    first.resize(70, 20)
    second = window(person, (100, 30))
    enter(second, person, "attach")
    second.wait_for("rgb", "size 30 100")
    second.resize(90, 26)
    second.wait_for("size 26 90")
    leave(second)
    enter(first, person, "attach")
    first.wait_for("rgb", "size 20 70")


def test_several_watch_and_none_of_them_matters(person: Cli, window: Open) -> None:
    """Whatever size their windows have, whatever they type, and however they leave."""
    driver = window(person, (80, 24))
    enter(driver, person, "run", "--", "sh", "draws")
    driver.wait_for("rgb")
    watchers = [window(person, size) for size in ((120, 40), (80, 24), (60, 18))]
    for watcher in watchers:
        enter(watcher, person, "attach", "--watch")
        watcher.wait_for("rgb")
        watcher.type("x")
        watcher.press("Enter")
    assert (True, 3) == (
        person.json("status")["live"]["attached"],
        person.json("status")["live"]["watchers"],
    )
    driver.type("seen")
    driver.press("Enter")
    for terminal in (driver, *watchers):
        terminal.wait_for("typed seen")
    assert driver.styled() == watchers[1].styled()
    untouched = window(person).flags()
    for watcher, key in zip(watchers, ("q", "C-c", "C-_ d"), strict=True):
        watcher.press(*key.split())
        watcher.wait_for("goes on: you have left it")
        assert untouched == watcher.flags()
    assert not any("size" in row for row in driver.screen())  # it was never given another
    driver.type("still")
    driver.press("Enter")
    driver.wait_for("typed still")


def test_a_second_driver_takes_over(person: Cli, window: Open, tmp_path: Path) -> None:
    """The first is told, and has a sane terminal; what is typed there is the shell's again."""
    first, second = window(person), window(person)
    untouched = first.flags()
    before, after = tmp_path / "before", tmp_path / "after"
    line = shlex.join(person.command("run", "--", "sh", "draws"))
    first.type(f"clear; stty -g > {before}; {line}; stty -g > {after}")
    first.press("Enter")
    first.wait_for("rgb")
    enter(second, person, "attach")
    second.wait_for("rgb")
    first.wait_for("goes on: somebody else has attached")
    wait_until(lambda: after.exists() and after.read_text(), what="the shell is back")
    assert (untouched, before.read_text()) == (first.flags(), after.read_text())
    first.type("echo mine $((40 + 2))")
    first.press("Enter")
    first.wait_for("mine 42")
    second.type("ours")
    second.press("Enter")
    second.wait_for("typed ours")
    assert not any("mine" in row for row in second.screen())


def clients_of(token: str) -> list[int]:
    """The command lines of a run, less what was forked off them."""
    found = [pid for pid in processes_with(token) if b"moat.cli.main" in cmdline(pid)]
    return [pid for pid in found if parent(pid) not in found]


def parent(pid: int) -> int:
    """The parent of a process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_terminal_is_given_back_by_a_client_that_is_killed(
    person: Cli, window: Open, tmp_path: Path
) -> None:
    """kill -9: no raw mode, no mouse, no other screen; the run goes on and is found again."""
    terminal = window(person)
    untouched = terminal.flags()
    before, after = tmp_path / "before", tmp_path / "after"
    line = shlex.join(person.command("run", "--name", "killed", "--", "sh", "draws"))
    terminal.type(f"clear; stty -g > {before}; {line}; sleep 1; stty -g > {after}")
    terminal.press("Enter")
    terminal.wait_for("rgb")
    looked = looks(terminal)
    clients = [pid for pid in clients_of("killed") if pid not in supervisors_of(person)]
    for pid in clients:
        os.kill(pid, signal.SIGKILL)
    assert clients
    wait_until(lambda: after.exists() and after.read_text(), what="the shell is back")
    assert (untouched, before.read_text()) == (terminal.flags(), after.read_text())
    enter(terminal, person, "attach")
    wait_until(lambda: looks(terminal) == looked, what="it looks as before")
    leave(terminal)
    assert set() == modes_left(terminal.written)


def test_a_window_that_is_closed_leaves_the_run(person: Cli, window: Open) -> None:
    """Its terminal is gone, and nobody ends anything."""
    with Terminal() as closed, closed.running(person, *person.command("run", "--", "sh", "draws")):
        closed.wait_for(b"rgb")
    wait_until(
        lambda: (person.json("status")["live"] or {}).get("attached") is False,
        what="it is noticed",
    )
    assert "running" == person.runs()[0]["state"]
    terminal = window(person)
    enter(terminal, person, "attach")
    terminal.wait_for("rgb")


def test_much_is_printed_whole_and_in_order(person: Cli) -> None:
    """Two megabytes, at a terminal that is read all the time."""
    words = person.command("run", "--", "seq", "1", "300000")
    with Terminal() as terminal, terminal.running(person, *words) as process:
        assert 0 == terminal.wait(process, seconds=120)
        numbers = [
            int(n) for n in re.findall(rb"(?:^|\n|\x1b\[[0-9;]*[A-Za-z])(\d+)\r", terminal.seen)
        ]
    assert numbers == [*range(1, 300_001)]


TYPED = (
    b"plain \xe6\x97\xa5 "  # text
    b"\x1b[200~pasted\x1b[31m\x03\x1f d\r\x1b[201~"  # a paste, with all that means something
    b"\x1b[<0;10;20M\x1b[<0;10;20m\x1b[M !!"  # reports of the mouse
    b"\x1b[97;5u\x1b[13;2u\x1b[57358u\x1b[97:65;2:1u"  # keys of kitty's
    b"\x1bOA\x1b[1;5C\x1b[3~\x1b\x1b[D\x00\x01\x03\x04\x1a\x1b"  # keys
)
TAKES = f"""
stty raw -echo; printf '\\033[?2004h\\033[?1000;1006h\\033[>1uready'
head -c {len(TYPED)} > typed; stty sane; echo taken
"""


def test_what_is_typed_arrives_byte_for_byte(person: Cli) -> None:
    """Pastes, the mouse and keys of every kind, at the first terminal and at one that came back."""
    for name in ("first", "again"):
        (person.workspace / "typed").unlink(missing_ok=True)
        words = person.command("run", "--", "sh", "-c", TAKES)
        if name == "again":
            with Terminal() as terminal, terminal.running(person, *words) as process:
                terminal.wait_for(b"ready")
                terminal.type(BYES)
                assert 0 == terminal.wait(process)
            words = person.command("attach")
        with Terminal() as terminal, terminal.running(person, *words) as process:
            terminal.wait_for(b"ready")
            for at in range(0, len(TYPED), 7):
                terminal.type(TYPED[at : at + 7])
            terminal.wait_for(b"taken")
            assert 0 == terminal.wait(process)
            assert b"" == terminal.unread()
        assert TYPED == (person.workspace / "typed").read_bytes()


ASKS = r"""
stty raw -echo; printf begun; head -c 1 > /dev/null
printf '\033[2J\033[H\033]52;c;aG9zdGlsZQ==\007abc\033[6n'
printf 'told %s' "$(head -c 6 | tr -d '\033')"; printf '\033[5n'; head -c 4 > status; stty sane
"""


@pytest.mark.attack
def test_a_terminal_that_came_back_is_told_as_little(person: Cli) -> None:
    """No clipboard, no question that it would answer; the program is answered by the run."""
    words = person.command("run", "--", "sh", "-c", ASKS)
    with Terminal() as terminal, terminal.running(person, *words) as process:
        terminal.wait_for(b"begun")
        terminal.type(BYES)
        assert 0 == terminal.wait(process)
    with Terminal() as terminal, terminal.running(person, *person.command("attach")) as process:
        terminal.wait_for(b"begun")
        terminal.seen = b""
        terminal.type(b"x")
        assert 0 == terminal.wait(process)
        assert b"told [1;4R" in terminal.seen
        for asked in (b"\x1b]52", b"\x1b[6n", b"\x1b[5n"):
            assert asked not in terminal.seen
        assert b"" == terminal.unread()
    assert b"\x1b[0n" == (person.workspace / "status").read_bytes()


def test_a_further_command_has_a_terminal_of_its_own(person: Cli, window: Open) -> None:
    """A shell beside the run, with job control; the run sees nothing of it."""
    run = start_in_background(person, "sleep", "300")
    terminal = window(person)
    untouched = terminal.flags()
    enter(terminal, person, "exec", "-t", run, "--", "sh", "draws")
    terminal.wait_for("rgb")
    terminal.type("here")
    terminal.press("Enter")
    terminal.wait_for("typed here")
    terminal.resize(100, 30)
    terminal.wait_for("size 30 100")
    terminal.press("C-c")
    wait_until(lambda: person.json("status")["live"]["executing"] == 0, what="it has ended")
    wait_until(lambda: terminal.flags() == untouched, what="the terminal is given back")
    assert "running" == person.json("status", run)["state"]


def test_who_starts_in_the_background_comes_later(person: Cli, window: Open) -> None:
    """A run without anybody at it has a terminal all the same, where it was started at one."""
    terminal = window(person, (90, 26))
    enter(terminal, person, "run", "-d", "--", "sh", "draws")
    terminal.wait_for("it runs in the background")
    assert not any("rgb" in row for row in terminal.screen())
    enter(terminal, person, "attach")
    terminal.wait_for("rgb")
    terminal.type("late")
    terminal.press("Enter")
    terminal.wait_for("typed late")


STATUS = "GPT-6.1-Sol default · /workspace"
PROMPT = "please write the file from-codex.txt"


def test_codex_is_left_and_found_again(codex_cli: Cli, window: Open) -> None:
    """The real one: its screen with what is being typed, and it works on from there."""
    subprocess.run(["git", "init", "-q"], cwd=codex_cli.workspace, check=True, timeout=30)
    with ending_all(codex_cli):
        terminal = window(codex_cli, (100, 32))
        untouched = terminal.flags()
        enter(terminal, codex_cli, "codex")
        terminal.wait_for(f"{ARROW} Ask Codex to do anything", STATUS)
        terminal.type(PROMPT)
        terminal.wait_for(f"{ARROW} {PROMPT}")
        before = terminal.screen()
        leave(terminal)
        assert untouched == terminal.flags()
        enter(terminal, codex_cli, "attach")
        terminal.wait_for(f"{ARROW} {PROMPT}", STATUS)
        wait_until(lambda: texts(terminal.screen()) == texts(before), what="it is as before")
        terminal.press("Enter")
        terminal.wait_for("• I wrote from-codex.txt.")
        leave(terminal)
        (supervisor,) = supervisors_of(codex_cli)
        assert is_alive(supervisor)
        enter(terminal, codex_cli, "attach")
        terminal.wait_for("• I wrote from-codex.txt.", STATUS)
        terminal.type("/quit")
        terminal.wait_for("exit Codex")
        terminal.press("Enter")
        terminal.wait_for("exit code 0, after")
        assert untouched == terminal.flags()
        assert set() == modes_left(terminal.written)
    assert "written by codex\n" == (codex_cli.workspace / "from-codex.txt").read_text()


def texts(screen: list[str]) -> list[str]:
    """What is written on a screen, wherever on it."""
    return [row for row in screen if row]
