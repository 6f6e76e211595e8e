"""Shells complete what is typed: commands, options, runs, grants, groups; nothing is made."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.cli.main import all_commands
from moat.cli.words import COMMANDS, words_for
from moat.run.record import RunDirectory, RunRecord
from support.cli import Cli
from support.pty import Terminal
from support.runs import inodes

MOAT = Path(sys.executable).parent / "moat"


@pytest.fixture
def home(cli: Cli) -> Iterator[Cli]:
    """A home with a live run, one that has ended, and two grants."""
    cli.grant_unasked()
    (cli.home / "credentials/default/mcp:linear.json").touch(mode=0o600)
    runs = cli.home / "runs"
    runs.mkdir(mode=0o700)
    locks = []
    for run, name, state in (
        ("dc1eh6tndp", "fixer", "running"),
        ("dc1eh6tndq", "done\x1b]0;x\x07", "stopped"),
    ):
        directory = RunDirectory(runs, run)
        locks.append(directory.create())
        directory.write(RunRecord(run, state, 1000.0, "/w", ("npm", "test"), name=name))  # type: ignore[arg-type]
    yield cli
    for lock in locks:
        os.close(lock)


def words(cli: Cli, *typed: str) -> list[str]:
    """What is offered, without what it is about."""
    done = cli.run("completion", "--words", *typed)
    assert (0, "") == (done.returncode, done.stderr)
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


# what it knows is what there is


@pytest.mark.parametrize("command", all_commands())
def test_options_are_those_of_the_code(cli: Cli, command: str) -> None:
    """Each option of a command, and whether a value follows."""
    said = cli.run(command, "--help").stdout
    known = COMMANDS[command][1].split()
    offered = {option.partition("=")[0] for option in known}
    shown = re.findall(r"^ {2}(-.+?)(?: {2,}.*)?$", said, re.MULTILINE)
    spellings = [spelling.strip().split(" ") for line in shown for spelling in line.split(", ")]
    assert {spelling[0] for spelling in spellings} - {"-h", "--help"} == offered
    takes = {name for name, *value in spellings if value and not value[0].startswith("[")}
    assert takes == {option.partition("=")[0] for option in known if "=" in option}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["att"], ["attach"]),
        (["run", "--pol"], ["--policy"]),
        (["run", "--policy", ""], ["strict", "ask", "permissive"]),
        (["run", "--policy=s"], ["--policy=strict"]),
        (["run", "-n", ""], []),
        (["run", ""], []),
        (["run", "--allow-host", "@np"], ["@npm"]),
        (["run", "-g", ""], ["mcp:linear", "openai"]),
        (["run", "--", ""], [":commands"]),
        (["run", "--", "ls", ""], [":files"]),
        (["run", "-w", ""], [":dirs"]),
        (["codex", ""], [":dirs"]),
        (["codex", "-p", "--", "wo"], [":files"]),
        (["attach", ""], ["fixer", "dc1eh6tndp"]),
        (["attach", "dc"], ["dc1eh6tndp"]),
        (["exec", "-t", ""], ["fixer", "dc1eh6tndp"]),
        (["stop", "fixer", ""], ["fixer", "dc1eh6tndp"]),
        (["allow", "--run", ""], ["fixer", "dc1eh6tndp"]),
        (["approve", "--run", "f"], ["fixer"]),
        (["allow", "--once", "@g"], ["@go", "@github"]),
        (["allow", "example.com", "P"], ["POST", "PUT", "PATCH"]),
        (["logs", "dc"], ["dc1eh6tndp", "dc1eh6tndq"]),
        (["logs", "d"], ["dc1eh6tndp", "done?]0;x?", "dc1eh6tndq"]),
        (["revoke", ""], ["mcp:linear", "openai"]),
        (["grant", "l"], ["list"]),
        (["worktree", ""], ["list", "clean"]),
        (["no-such-command", ""], []),
        (["", ""], []),
    ],
)
def test_what_fits_is_offered(home: Cli, typed: list[str], offered: list[str]) -> None:
    """At each place what may stand there, and no other run than one that may be meant."""
    assert sorted(offered) == sorted(words(home, *typed))


def test_groups_of_the_settings_are_offered(cli: Cli) -> None:
    """Those of the person, besides those that Moat knows."""
    file = cli.home / "config.yaml"
    file.write_text("network: {groups: {mine: [example.com]}}\n")
    file.chmod(0o600)
    assert "@mine" in words(cli, "allow", "@")


def test_commands_are_offered_with_what_they_do() -> None:
    """All of them."""
    assert [f"{name}\t{line}" for name, line in all_commands().items()] == [*words_for([""])]


# it fails without a word, and changes nothing


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_nothing_is_made(cli: Cli, command: str) -> None:
    """A key that is pressed by mistake leaves no trace, not even a home."""
    cli.home.rmdir()
    for typed in ([""], [command, ""], [command, "-"], [command, "--run", ""], [command, "-g", ""]):
        words(cli, *typed)
    assert not cli.home.exists()


def test_nothing_is_changed(home: Cli) -> None:
    """Where there is something, it is read and no more."""
    before = inodes(home.home)
    for command in COMMANDS:
        words(home, command, "")
        words(home, command, "-g", "")
    assert before == inodes(home.home)


def test_what_is_broken_is_passed_over(home: Cli) -> None:
    """Where a command would say what is wrong, a shell that completes is not told."""
    (home.home / "config.yaml").write_text("network: [")
    (home.home / "runs/dc1eh6tndp/run.json").write_text("{")
    assert "@npm" in words(home, "allow", "@")
    assert [] == words(home, "attach", "")
    shutil.rmtree(home.home)
    home.home.write_text("no directory")
    assert [] == words(home, "attach", "")
    assert [] == words(home, "revoke", "")


# real shells


def _shell(name: str) -> str:
    """A shell of this machine."""
    if (path := shutil.which(name)) is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_sound(cli: Cli, shell: str) -> None:
    """As the shell itself reads them."""
    script = cli.run("completion", shell).stdout
    done = subprocess.run([_shell(shell), "-n"], input=script, capture_output=True, text=True)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("shell", ["tcsh", ""])
def test_other_shells_are_refused(cli: Cli, shell: str) -> None:
    """With those there are."""
    done = cli.run("completion", shell)
    assert (2, "") == (done.returncode, done.stdout)
    assert "bash" in done.stderr


_BEGIN = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
_SET_UP = {
    "bash": "PS1='ready> '; source <(moat completion bash)",
    "zsh": "PS1='ready> '; autoload -Uz compinit; compinit -D -u; source <(moat completion zsh)",
    "fish": "function fish_prompt; echo 'ready> '; end; moat completion fish | source",
}


@pytest.mark.parametrize("shell", _BEGIN)
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("moat atta\tfix\t", "moat attach fixer"),
        ("moat run --allow-host @np\t", "moat run --allow-host @npm"),
        ("moat run -g mcp:l\t", "moat run -g mcp:linear"),
        ("moat run --policy=str\t", "moat run --policy=strict"),
        ("moat codex fold\t", "moat codex folder/"),
        ("moat run -- cat folder/fi\t", "moat run -- cat folder/file"),
    ],
)
def test_a_tab_completes(home: Cli, shell: str, typed: str, completed: str) -> None:
    """In the shell itself, as its line says once it is run."""
    program = _shell(shell)
    (home.workspace / "folder").mkdir()
    (home.workspace / "folder/file").touch()
    places = home.workspace.with_name("bin")
    places.mkdir()
    # What is completed is what is typed; what is run says what its words were.
    fake = places / "moat"
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = completion ] && exec {shlex.quote(str(MOAT))} "$@"\n'
        'echo "RAN<moat $*>"\n'
    )
    fake.chmod(0o755)
    home.environment["PATH"] = f"{places}:{os.environ['PATH']}"
    with Terminal(columns=160) as terminal, terminal.running(home, program, *_BEGIN[shell]):
        terminal.type(f"{_SET_UP[shell]}; echo set-'up'\r".encode())
        terminal.wait_for(b"set-up\r\n")
        for part in re.split("(?<=\t)", typed):
            terminal.type(part.encode())
            _settle(terminal)
        terminal.type(b"\r")
        terminal.wait_for(b"RAN<")
        terminal.wait_for(b">\r\n")
    ran = terminal.seen.partition(b"RAN<")[2].partition(b">")[0].decode()
    assert completed.rstrip("/") == ran.strip().rstrip("/")  # zsh takes it away again


def _settle(terminal: Terminal) -> None:
    """Wait until nothing more is drawn: a line that is typed too early is completed too early."""
    quiet = time.monotonic()
    while time.monotonic() - quiet < 1.0:
        before = len(terminal.seen)
        if len(terminal.look(0.1)) > before:
            quiet = time.monotonic()
