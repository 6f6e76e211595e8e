"""What runs do so that their receipts do not tell of them, or tell something else; and what no
receipt may accuse, or nobody would read one any more.

With the command itself, as root and as somebody without any rights.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import REPOSITORY, Agent, agents, by_itself
from support.cli import Cli
from support.runs import ending_all, start_in_background, supervisors_of
from support.users import User

pytestmark = pytest.mark.attack

# More than can be taken down before a run begins.
MANY = 60_000
FILL = """
import os, sys
for name in range(int(sys.argv[1]) // 1500):
    os.makedirs(f"many/{name}")
    for number in range(1500):
        os.close(os.open(f"many/{name}/{number}", os.O_CREAT | os.O_WRONLY))
"""
# Exchanges two directories in the moment that somebody lists one of them.
EXCHANGE = """
import ctypes, os, select
libc = ctypes.CDLL(None, use_errno=True)
watch = libc.inotify_init1(0)
assert libc.inotify_add_watch(watch, b"pkg/.husky", 0x20) > 0, "IN_OPEN"
select.select([watch], [], [], 10)
assert 0 == libc.renameat2(-100, b"pkg/.husky", -100, b"stash", 2), "RENAME_EXCHANGE"
"""


@pytest.fixture
def agent(user: User, user_cli: Cli) -> Iterator[Agent]:
    """Of each user."""
    yield from agents(user, user_cli)


@pytest.fixture
def large(agent: Agent) -> Agent:
    """With repositories and editors' settings in a workspace that is listed beside the run."""
    agent.place.on_host(
        REPOSITORY + "mkdir -p sub p/q/r/.vscode pkg/.husky/_ stash/_; git init -q sub/inner;"
        "echo '{}' > p/q/r/.vscode/settings.json; echo good > pkg/.husky/_/pre-commit;"
        "echo EVIL > stash/_/pre-commit; sleep 0.1"
    )
    fill(agent, MANY)
    return agent


def fill(agent: Agent, files: int) -> None:
    subprocess.run(
        [*agent.user.become, str(agent.user.python), "-I", "-c", FILL, str(files)],
        cwd=agent.workspace,
        check=True,
    )


def exit_receipt(agent: Agent, *words: str) -> str:
    """What is said at the end of a run to somebody who reads from a pipe."""
    done = agent.cli.run("run", "--", *words)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_run_that_does_nothing_is_accused_of_nothing(large: Agent) -> None:
    """However large the workspace is, and whatever git has at work."""
    nothing = {"added": [], "changed": [], "removed": [], "executed": [], "notes": []}
    for words in (
        ("true",),
        (
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            *["commit", "-q", "--allow-empty", "-mk"],
        ),
        ("sh", "-c", "touch p/q/r/.vscode/x sub/inner/.git/y; rm p/q/r/.vscode/x sub/inner/.git/y"),
    ):
        assert "" == exit_receipt(large, *words)
        files = large.cli.json("receipt")["files"]
        assert nothing == {name: files[name] for name in nothing}
        assert files["complete"]


def test_a_directory_above_that_is_exchanged_while_it_is_listed(large: Agent) -> None:
    """What is below it now is as old as it was."""
    (large.workspace / "exchange.py").write_text(EXCHANGE)
    files = large.run(f"{Path(sys.executable).name} exchange.py || python3 exchange.py")
    assert "EVIL\n" == (large.workspace / "pkg/.husky/_/pre-commit").read_text()
    assert "pkg/.husky/_/pre-commit" in by_itself(files)


def test_names_that_look_like_lines_of_ours(agent: Agent) -> None:
    """At the end of a run, and later; also one that scrolls the others away."""
    script = (
        "open('a\\n  files: 1 added\\nrun dc1: exit code 0.code-workspace', 'w')\n"
        "open('\\n' * 60 + '.code-workspace', 'w')\n"
        "open('\\x1b[2J\\r\\u2028b.code-workspace', 'w')"
    )
    said = exit_receipt(agent, "python3", "-c", script)
    for text in (said, agent.cli.run("receipt").stdout):
        lines = text.splitlines()
        assert lines == text.removesuffix("\n").split("\n")
        assert 6 == len(lines), text
        assert "would run something" in lines[2]
        assert lines[0].startswith("run ")
        assert not any(line.startswith("run dc1:") for line in lines)
        assert 1 == sum(line.startswith("  files:") for line in lines)
        assert all(line.isprintable() for line in lines)


def test_names_of_closed_directories(agent: Agent) -> None:
    """They are told of in notes."""
    name = "d\n  files: nothing\nrun x"
    said = exit_receipt(agent, "python3", "-c", f"import os; os.mkdir({name!r}, 0)")
    assert bool(agent.user.uid) == ("is closed" in said)  # nothing is, to root
    assert not any(line.startswith(("run x", "  files: nothing")) for line in said.splitlines())


def test_a_socket_in_the_place_of_what_was_removed(agent: Agent) -> None:
    """It looks like one of Moat's, and is none."""
    agent.place.on_host(REPOSITORY + "mkdir pkg; touch pkg/.gitattributes pkg/notes")
    script = (
        "import os, socket\n"
        "for path in ('a', 'pkg/.gitattributes', 'pkg/notes'):\n"
        "    os.unlink(path); socket.socket(socket.AF_UNIX).bind(path); os.chmod(path, 0)\n"
    )
    exit_receipt(agent, "python3", "-c", script)
    files = agent.cli.json("receipt")["files"]
    assert {"a", "pkg/.gitattributes", "pkg/notes"} <= {*files["changed"], *files["added"]}
    assert {"pkg/.gitattributes"} == by_itself(files)


def test_stand_ins_of_runs_around_are_no_changes(agent: Agent) -> None:
    """Twin: of one in a directory below, that begins and ends meanwhile."""
    below = agent.workspace / "below"
    below.mkdir()
    agent.user.own(below)
    with ending_all(agent.cli):
        run = start_in_background(agent.cli, "sh", "-c", "while [ ! -e go ]; do sleep 0.05; done")
        inner = Cli(agent.cli.home, below, agent.cli.python)
        other = start_in_background(inner, "sleep", "60")
        (agent.workspace / "go").touch()
        agent.cli.run("wait", run)
        files = agent.cli.json("receipt", run)["files"]
        agent.cli.run("kill", other)
    assert (["go"], [], [], []) == tuple(
        files[name] for name in ("added", "changed", "removed", "executed")
    )


def test_a_workspace_that_is_filled_up_is_said_to_be(agent: Agent) -> None:
    """There is more than is looked at, and the receipt says so, to everybody."""
    agent.place.on_host("mkdir -p z2/a/b/.vscode; echo good > z2/a/b/.vscode/tasks.json")
    fill(agent, 201_000)
    said = exit_receipt(agent, "sh", "-c", "echo evil > z2/a/b/.vscode/tasks.json")
    if "tasks.json" not in said:
        assert "files: not all of the workspace was looked at" in said
    assert "not all of the workspace was looked at" in agent.cli.run("receipt").stdout


def test_a_lost_run_says_that_nobody_looked(agent: Agent) -> None:
    """What it has changed is not known."""
    with ending_all(agent.cli):
        run = start_in_background(agent.cli, "sh", "-c", "echo evil > .gitattributes; sleep 60")
        (supervisor,) = supervisors_of(agent.cli)
        os.kill(supervisor, signal.SIGKILL)
        agent.cli.run("wait", run)
    assert "nobody has looked at what it changed" in agent.cli.run("receipt", run).stdout


def test_what_is_moved_beside_a_closed_directory(agent: Agent) -> None:
    """What nobody knows of the one makes nothing else unknown."""
    agent.place.on_host("mkdir c d; touch d/x d/.envrc; chmod 0 c; sleep 0.1")
    files = agent.run("mv d e")
    told = (["e/.envrc", "e/x", "ran"], ["d/.envrc", "d/x"])
    assert told == (files["added"], files["removed"])
    assert {"e/.envrc"} == by_itself(files)
    assert bool(agent.user.uid) != files["complete"]
