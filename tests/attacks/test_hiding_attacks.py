"""What runs do so that the next is guarded less, or so that a receipt does not tell of them.

Each is tried with the command itself, as root and as somebody without any rights. What is promised
of each: a program of the host finds nothing of the run's where it was guarded; and where it was
not, the receipt names it, or says what could not be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import COMMON, REPOSITORY, SUBMODULE, Agent, agents, by_itself
from support.cli import Cli
from support.users import User

pytestmark = pytest.mark.attack

EVIL = "core.fsmonitor evil"


@pytest.fixture
def agent(user: User, user_cli: Cli) -> Iterator[Agent]:
    """Of each user."""
    yield from agents(user, user_cli)


def test_submodules_of_the_repository_of_a_work_tree(agent: Agent) -> None:
    """They are in the directory that all work trees share."""
    agent.place.on_host(SUBMODULE)
    agent.run(
        COMMON + f"git config -f modules/sub/config {EVIL}; echo x > modules/sub/hooks/post-commit",
        *("--worktree", "fix"),
    )
    assert "" == agent.git("sub", "config", "core.fsmonitor")
    assert not (agent.workspace / ".git/modules/sub/hooks/post-commit").exists()


def test_submodules_of_the_work_trees_of_a_repository(agent: Agent) -> None:
    """Git keeps them below those."""
    agent.place.on_host(
        SUBMODULE + "git worktree add -q ../other; cd ../other;"
        "git -c protocol.file.allow=always submodule --quiet update --init"
    )
    place = ".git/worktrees/other/modules/sub"
    assert (agent.workspace / place / "HEAD").exists()
    agent.run(f"git config -f {place}/config {EVIL}")
    agent.run(COMMON + f"git config -f {place[5:]}/config {EVIL}", "--worktree", "fix")
    assert "" == agent.git("../other/sub", "config", "core.fsmonitor")


def test_what_is_obeyed_of_a_repository_that_work_trees_share(agent: Agent) -> None:
    """It is not below the workspace of the run, and told of all the same."""
    agent.place.on_host(REPOSITORY)
    files = agent.run(
        COMMON + "mkdir -p info worktrees/evil modules/new/hooks; echo x > info/attributes;"
        "echo /tmp/e > worktrees/evil/commondir; echo x > modules/new/hooks/post-commit",
        *("--worktree", "fix"),
    )
    there = agent.workspace / ".git"
    expected = ("info/attributes", "worktrees/evil/commondir", "modules/new/hooks/post-commit")
    assert {str(there / path) for path in expected} == by_itself(files)
    assert {str(there / path) for path in expected} <= set(files["added"])


def test_work_in_a_work_tree_is_nothing_that_is_obeyed(agent: Agent) -> None:
    """Twin."""
    agent.place.on_host(SUBMODULE)
    author = "git config --global user.name a; git config --global user.email a@example.com;"
    files = agent.run(author + "git add -A; git commit -qm two; git gc -q", "--worktree", "fix")
    assert "two" in agent.git(".", "log", "-1", "--format=%s", "fix")
    assert ([], ["ran"], []) == (files["executed"], files["added"], files["changed"])
    assert [] == files["notes"]


def test_a_known_repository_that_is_closed(agent: Agent) -> None:
    """Who has a directory can open it again."""
    agent.place.on_host(REPOSITORY + "mkdir lib; git init -q lib/repo")
    agent.run("chmod 000 lib")
    if agent.user.uid:
        said = agent.refused()
        assert "lib is closed" in said
        assert f"chmod u+rwx {agent.workspace}/lib" in said
    else:
        agent.run(f"chmod 755 lib; git config -f lib/repo/.git/config {EVIL}; chmod 311 lib")
    (agent.workspace / "lib").chmod(0o755)
    assert "" == agent.git("lib/repo", "config", "core.fsmonitor")


@pytest.mark.parametrize("mode", ["0311", "0000", "0444"])
def test_a_directory_that_a_run_closes_is_told_of(agent: Agent, mode: str) -> None:
    """What is in it may be opened by name; the next run can do nothing in there."""
    script = f"mkdir -p d/cl; echo evil > d/cl/.envrc; chmod {mode} d/cl"
    files = agent.run(script)
    if agent.user.uid:
        assert not files["complete"]
        assert any("d/cl is closed" in note for note in files["notes"])
    else:
        assert {"d/cl/.envrc"} == by_itself(files)
        return
    before = (agent.workspace / "d/cl").stat()
    files = agent.run("chmod 755 d/cl; echo evil >> d/cl/.envrc; mv d/cl d/e; rm -rf d")
    after = (agent.workspace / "d/cl").stat()
    assert (before.st_mode, before.st_ctime_ns) == (after.st_mode, after.st_ctime_ns)
    (agent.workspace / "d/cl").chmod(0o755)
    assert "evil\n" == (agent.workspace / "d/cl/.envrc").read_text()


def test_a_workspace_that_a_run_closes(agent: Agent) -> None:
    """All of it is below."""
    files = agent.run("mkdir d; echo evil > d/.envrc; chmod 0311 /workspace")
    if agent.user.uid:
        assert not files["complete"]
        assert any(str(agent.workspace) in note for note in files["notes"])
        assert f"{agent.workspace}" in agent.refused()
    else:
        assert {"d/.envrc"} == by_itself(files)


@pytest.mark.parametrize("close", [".git", ".git/modules", ".git/modules/sub", ".git/worktrees"])
def test_a_directory_of_gits_that_is_closed(agent: Agent, close: str) -> None:
    """What is in there cannot be guarded before it is seen."""
    agent.place.on_host(SUBMODULE + "git worktree add -q ../other")
    agent.run(f"chmod 000 {close}")
    if agent.user.uid:
        assert f"{close} is closed" in agent.refused()
    (agent.workspace / close).chmod(0o755)
    agent.run(f"git config -f .git/modules/sub/config {EVIL}")
    assert "" == agent.git("sub", "config", "core.fsmonitor")


def test_settings_that_are_closed(agent: Agent) -> None:
    """Nobody knows what they lead to."""
    agent.place.on_host(
        REPOSITORY + "mkdir cfg my; git config include.path ../cfg/own;"
        "printf '[core]\\n\\thooksPath = my\\n' > cfg/own"
    )
    agent.run("chmod 000 cfg")
    if agent.user.uid:
        assert "cfg is closed" in agent.refused()
    else:
        agent.run("echo x > my/pre-commit")
    assert not (agent.workspace / "my/pre-commit").exists()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(".git/modules/sub", id="submodule"),
        pytest.param("bare.git", id="bare"),
        pytest.param(".store", id="common"),
    ],
)
def test_a_repository_that_is_taken_apart_for_the_next_run(agent: Agent, place: str) -> None:
    """It is guarded while it is none, or only shared by one."""
    agent.place.on_host(
        SUBMODULE + "git init -q --bare bare.git;"
        "git init -q --bare .store; git -C .store worktree add -q --orphan -b w ../w || "
        "git -C ../lib push -q $PWD/.store main:main && git -C .store worktree add -q ../w main"
    )
    agent.run(
        f"D={place}; mkdir $D/hk; echo x > $D/hk/post-checkout; mv $D/HEAD $D/H_; test ! -e $D/HEAD"
    )
    assert not (agent.workspace / place / "HEAD").exists()
    agent.run(f"cd {place}; mv hooks oldhooks; mv hk hooks; mv config c; echo evil > config")
    agent.run(f"cd {place}; mv H_ HEAD; mv hooks oldhooks; mv hk hooks")
    assert not (agent.workspace / place / "hooks/post-checkout").exists()
    assert "evil" not in (agent.workspace / place / "config").read_text()


def test_directories_that_are_renamed(agent: Agent) -> None:
    """What was made under harmless names is obeyed under others, and no younger for that."""
    agent.place.on_host(
        "mkdir -p sub/foo sub/h sub/deep/x; echo x > sub/foo/tasks.json;"
        "echo x > sub/h/post-checkout; echo x > sub/deep/x/settings.json"
    )
    files = agent.run(
        "mkdir -p sub2/.git p; mv sub/foo sub2/.vscode; mv sub/h sub2/.git/hooks;"
        "mv sub/deep p/e; mv p/e/x p/e/.zed"
    )
    expected = {
        "sub2/.vscode/tasks.json",
        "sub2/.git/hooks/post-checkout",
        "p/e/.zed/settings.json",
    }
    assert expected == by_itself(files)
    assert {*expected, "ran"} == set(files["added"])
    assert {"sub/foo/tasks.json", "sub/h/post-checkout", "sub/deep/x/settings.json"} == set(
        files["removed"]
    )


def test_what_takes_the_place_of_another_runs_stand_in(agent: Agent) -> None:
    """Both receipts tell of it, and that of the other run that it is guarded no more."""
    done = agent.cli.run("run", "-d", "--name", "first", "--", "sleep", "60")
    assert done.returncode == 0, done.stderr
    (first,) = agent.cli.runs()
    files = agent.run("rm -f .envrc; echo evil > .envrc", "--allow-write", ".envrc")
    assert {".envrc"} == by_itself(files)
    agent.cli.run("kill", first["run"])
    agent.cli.run("wait", first["run"])
    files = agent.cli.json("receipt", first["run"])["files"]
    assert {".envrc"} == by_itself(files)
    assert any(note.startswith(".envrc ") for note in files["notes"])


def test_hooks_of_a_submodule_beside_its_files(agent: Agent) -> None:
    """They are relative to those, and not to where git keeps its settings."""
    agent.place.on_host(SUBMODULE + "mkdir sub/my; git -C sub config core.hooksPath my")
    agent.run("echo x > sub/my/post-commit")
    assert not (agent.workspace / "sub/my/post-commit").exists()


def test_settings_of_a_work_tree_alone(agent: Agent) -> None:
    """What they lead to is in there, they are not."""
    agent.place.on_host(
        REPOSITORY + "git config extensions.worktreeConfig true; git worktree add -q ../tree;"
        "cd ../tree; mkdir my; git config --worktree core.hooksPath my"
    )
    agent.cli.workspace = agent.cli.workspace.parent / "tree"
    agent.run("echo x > my/post-commit")
    assert not Path(agent.cli.workspace, "my/post-commit").exists()


def test_no_guard_is_lost_unless_somebody_takes_it(agent: Agent) -> None:
    """Twin: nothing is noted of a plain run."""
    agent.place.on_host(SUBMODULE)
    assert [] == agent.run("true")["notes"]
