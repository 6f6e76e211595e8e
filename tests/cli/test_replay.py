"""What a run's terminal showed is played again, and nothing of it acts."""

from __future__ import annotations

import json
import os
import signal
import termios
from collections.abc import Iterable
from pathlib import Path

import pytest

from moat.ledger.transcript import CAST, LOG
from support.cli import Cli
from support.pty import Terminal
from support.tmux import Tmux, modes_left


def recorded(cli: Cli, events: Iterable[tuple[float, str]]) -> Path:
    """A run that had a terminal, and printed this when it is said."""
    assert 0 == cli.run("run", "--", "true").returncode
    run = cli.home / "runs" / cli.json("list", "--all")[0]["run"]
    (run / LOG).unlink(missing_ok=True)
    header = {"version": 2, "width": 80, "height": 24, "timestamp": 1000}
    lines = [header, *([seconds, "o", text] for seconds, text in events)]
    (run / CAST).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_it_is_shown_again_and_the_terminal_is_as_before(cli: Cli) -> None:
    """Long pauses are cut short; a program that did not tidy up is tidied up after."""
    recorded(cli, [(0, "one\r\n"), (900, "\x1b[?1049h\x1b[?1000h\x1b[>1u"), (901, "two")])
    command = cli.command("replay", "--idle-limit", "0.1", "--speed", "4")
    with Terminal() as terminal:
        before = termios.tcgetattr(terminal.slave)
        with terminal.running(cli, *command) as process:
            assert 0 == terminal.wait(process)
        assert before == termios.tcgetattr(terminal.slave)
        assert terminal.seen.startswith(b"one\r\n\x1b[?1049h\x1b[?1000h\x1b[>1utwo")
        assert set() == modes_left(terminal.seen)


@pytest.mark.attack
def test_nothing_of_it_acts(cli: Cli) -> None:
    """Neither clipboard nor answer, cut as they may be between two events."""
    hostile = "\x1b]52;c;aGk=\x07\x1b[6n\x1b[c\x1b[?u\x1b]11;?\x07"
    recorded(cli, [(0, "before "), *((0, byte) for byte in hostile), (0, "after")])
    with Terminal() as terminal, terminal.running(cli, *cli.command("replay")) as process:
        assert 0 == terminal.wait(process)
        assert b"before after" == terminal.seen


@pytest.mark.parametrize("how", ["ctrl-c", "q", "signal", "another key first"])
def test_it_can_be_ended(cli: Cli, how: str) -> None:
    """The terminal is as before, and what was typed is not left for the shell."""
    recorded(cli, [(0, "\x1b[?1049h\x1b[?25lbegin"), (3600, "end")])
    with Terminal() as terminal:
        before = termios.tcgetattr(terminal.slave)
        command = cli.command("replay", "--idle-limit", "3600")
        with terminal.running(cli, *command) as process:
            terminal.wait_for(b"begin")
            if how == "signal":
                os.kill(process.pid, signal.SIGTERM)
            else:
                terminal.type({"ctrl-c": b"\x03", "q": b"q"}.get(how, b"x\rq"))
            assert 0 == terminal.wait(process)
        assert before == termios.tcgetattr(terminal.slave)
        assert b"" == terminal.unread()
        assert set() == modes_left(terminal.seen)
        assert b"end" not in terminal.seen


def test_pipes_have_nothing_to_replay(cli: Cli) -> None:
    """The command that shows what they got is named."""
    assert 0 == cli.run("run", "--", "true").returncode
    run = cli.json("list", "--all")[0]["run"]
    done = cli.run("replay")
    assert 1 == done.returncode
    assert "had no terminal" in done.stderr
    assert f"moat logs {run}" in done.stderr


@pytest.mark.parametrize("wrong", [("--speed", "0"), ("--speed", "x"), ("--idle-limit", "-1")])
def test_nonsense_is_refused(cli: Cli, wrong: tuple[str, str]) -> None:
    """As something typed wrongly."""
    done = cli.run("replay", *wrong)
    assert 2 == done.returncode
    assert wrong[0] in done.stderr


def test_a_real_terminal_shows_it(cli: Cli, tmp_path: Path) -> None:
    """The screen that was, and then the shell's again."""
    recorded(
        cli, [(0, "\x1b[?1049h\x1b[5;10Hin the midst"), (1, "\x1b[7;1Hbelow"), (9, "\x1b[?1049l")]
    )
    environ = cli.environ(TERM="screen-256color")
    with Tmux((80, 24), cwd=cli.workspace, environ=environ, recording=tmp_path / "written") as tmux:
        tmux.type(" ".join(cli.command("replay", "--idle-limit", "3")) + "; echo done $?")
        tmux.press("Enter")
        screen = tmux.wait_for("below")
        assert "         in the midst" == screen[4]
        tmux.wait_for("done 0")
        assert "0" == tmux.flags()["alternate_on"]
