"""Guards of a run, as the person meets them: everyday work goes on, and what was allowed is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from moat.config.paths import Home
from moat.config.settings import Upstream
from moat.core.ids import new_run_id
from moat.errors import MoatError
from moat.run.guarding import git_environment, guarded
from moat.run.kept import workspace_key
from moat.run.plan import Wanted, build_plan
from moat.runtimes.interface import Guard
from moat.workspace.standins import StandIns
from support.cli import Cli
from support.guarding import Place
from support.users import User

REPOSITORY = """
git init -q -b main . && echo a > a && git add a && git commit -qm one
git clone -q --bare . ../there.git && git remote add origin ../there.git && git fetch -q
git branch -q other && git worktree add -q ../elsewhere other
"""
AUTHOR = "git config --global user.name a; git config --global user.email a@example.com;"

WORK = {
    "commit": "echo b >> a; git commit -qam two; git log --oneline | grep two",
    "amend": "echo b >> a; git commit -qa --amend -m other",
    "branch": "git branch x; git checkout -q -b y; git switch -q main; git branch -q -d x",
    "branch_of_a_remote": "git checkout -q -b mine origin/main; git branch -D other2 || true",
    "merge": "git checkout -q -b y; echo c > c; git add c; git commit -qm c; git switch -q main;"
    "git merge -q --no-ff -m merged y",
    "rebase": "git checkout -q -b y; echo c > c; git add c; git commit -qm c; git switch -q main;"
    "echo d > d; git add d; git commit -qm d; git switch -q y; git rebase -q main",
    "rebase_with_a_conflict": "git checkout -q -b y; echo c > a; git commit -qam c;"
    "git switch -q main; echo d > a; git commit -qam d; git switch -q y;"
    "git rebase -q main || (echo e > a; git add a; GIT_EDITOR=true git rebase --continue)",
    "stash": "echo b >> a; echo n > n; git stash -q -u; test ! -e n; git stash pop -q; test -e n",
    "tag": "git tag -a -m t v1; git tag v2; git tag -d v2",
    "reset_and_clean": "echo n > n; echo b >> a; git reset -q --hard HEAD; git clean -fdxq;"
    "test ! -e n",
    "gc": "git gc -q --prune=now; git fsck",
    "work_trees": "git worktree add -q /tmp/w; cd /tmp/w; echo b >> a; git commit -qam b; cd -;"
    "git worktree remove /tmp/w; git worktree add -q inside; git worktree remove inside",
    "fetch": "git init -q --bare /tmp/r; git push -q /tmp/r main; git fetch -q /tmp/r main",
    "nothing_is_seen": 'test -z "$(git status --porcelain --untracked-files=all)"',
    "a_new_repository_below": "git init -q new; cd new; git commit -q --allow-empty -m n",
    "everyday_files": "echo all: > Makefile; echo '{}' > package.json; mkdir -p .github/workflows;"
    "touch .github/workflows/x.yml .env .gitignore .gitattributes; git add -A; git commit -qm x",
    "archives": "tar cf /tmp/x.tar .; cp -r . /tmp/copy; grep -r a . > /tmp/found; find . -type f",
}


@pytest.mark.parametrize("name", WORK)
def test_everyday_work_goes_on(user: User, name: str) -> None:
    """With the real git, in a real box; and the host's git is content afterwards."""
    place = Place.of(user)
    place.on_host(REPOSITORY)
    said = place.in_box(f"set -e; {AUTHOR} {WORK[name]}")
    assert 0 == said["code"], said["err"]
    place.on_host("git status; git fsck; git -C ../elsewhere status")
    assert [] == place.left()


def test_npm_works(cli: Cli) -> None:
    """What it writes is not guarded, and it does not trip over stand-ins."""
    if shutil.which("npm", path="/usr/bin:/bin") is None:
        pytest.skip("boxes have no npm here")
    (cli.workspace / "package.json").write_text('{"name": "x", "version": "1.0.0"}')
    (cli.workspace / "dep").mkdir()
    (cli.workspace / "dep/package.json").write_text('{"name": "dep", "version": "1.0.0"}')
    done = cli.run("run", "--", "npm", "install", "--offline", "--no-audit", "./dep")
    assert 0 == done.returncode, done.stderr
    assert "dep" in (cli.workspace / "package.json").read_text()


def test_what_is_allowed_may_be_changed(user: User) -> None:
    """And it is told what was."""
    place = Place.of(user)
    place.on_host("git init -q .")
    script = "git config a.b c; echo x > .envrc; mkdir .vscode; echo x > .vscode/tasks.json"
    said = place.in_box(script, allow=[".git/config", ".envrc", ".vscode"])
    assert 0 == said["code"], said["err"]
    assert "c\n" == place.on_host("git config a.b").stdout
    told = [path for path, *_ in said["changes"]["executed"]]
    assert [".envrc", ".git/config", ".vscode/tasks.json"] == told


@pytest.mark.parametrize(("mode", "of"), [("555", "."), ("000", "."), ("555", ".git")])
def test_a_directory_that_a_run_closes(user: User, mode: str, of: str) -> None:
    """What Moat made is gone all the same, and the mode is what the run made it."""
    place = Place.of(user)
    place.on_host("git init -q .; mkdir .vscode")
    said = place.in_box(f"chmod {mode} {of}", allow=[".vscode/tasks.json"])
    assert 0 == said["code"], said["err"]
    assert int(mode, 8) == (place.workspace / of).stat().st_mode & 0o777
    assert [] == place.left()


def test_a_run_with_the_option(user_cli: Cli) -> None:
    """And without."""
    script = "echo x > .envrc; test -f .envrc"
    assert 0 != user_cli.run("run", "--", "sh", "-c", script).returncode
    done = user_cli.run("run", "--allow-write", ".envrc", "--", "sh", "-c", script)
    assert 0 == done.returncode, done.stderr
    assert [".envrc"] == [path.name for path in user_cli.workspace.iterdir()]


def test_what_a_run_says_of_itself_is_never_allowed(cli: Cli) -> None:
    """Said when it is typed."""
    done = cli.run("run", "--allow-write", "moat.yaml", "--", "true")
    assert 2 == done.returncode
    assert "never change moat.yaml" in done.stderr


def test_another_run_starts_beside(user_cli: Cli) -> None:
    """The stand-in of the first run's moat.yaml is no project of the second's."""
    with user_cli.started("run", "--", "sh", "-c", "echo up; sleep 60") as first:
        assert first.stdout is not None
        assert "up\n" == first.stdout.readline()
        done = user_cli.run("run", "--", "sh", "-c", "echo x > moat.yaml; true")
        assert 0 == done.returncode, done.stderr
        assert (user_cli.workspace / "moat.yaml").is_socket()
        for run in user_cli.runs():
            user_cli.run("kill", run["run"])
    assert not (user_cli.workspace / "moat.yaml").exists()


def test_a_work_tree(user: User, user_cli: Cli) -> None:
    """Made, worked in, listed, gone on with, and taken away."""
    place = Place(user, user_cli.home.parent)
    place.on_host("git init -q -b main . && git commit -q --allow-empty -m one")
    script = f"set -e; {AUTHOR} echo b > b; git add b; git commit -qm two"
    done = user_cli.run("run", "--worktree", "fix", "--", "sh", "-c", script)
    assert 0 == done.returncode, done.stderr
    assert "two" in place.on_host("git log -1 --format=%s fix").stdout
    done = user_cli.run("run", "--worktree", "fix", "--", "cat", "b")
    assert "b\n" == done.stdout
    (told,) = user_cli.json("worktree", "list")
    assert ("fix", "clean") == (told["branch"], told["state"])
    assert [told["path"]] == [one["path"] for one in user_cli.json("worktree", "clean")["removed"]]
    assert [] == user_cli.json("worktree", "list")


def test_a_work_tree_with_what_no_commit_has(user: User, user_cli: Cli) -> None:
    """It stays, and nobody has to ask for that."""
    place = Place(user, user_cli.home.parent)
    place.on_host("git init -q -b main . && git commit -q --allow-empty -m one")
    place.on_host("echo .env >> .git/info/exclude")
    script = "echo KEY=1 > .env"
    done = user_cli.run("run", "--worktree", "fix", "--", "sh", "-c", script)
    assert 0 == done.returncode, done.stderr
    (kept,) = user_cli.json("worktree", "clean")["kept"]
    assert "git ignores" in kept["why"]
    (told,) = user_cli.json("worktree", "list")
    assert ("ignored", "KEY=1\n") == (told["state"], Path(told["path"], ".env").read_text())
    assert user_cli.json("worktree", "clean", "--force")["removed"]


def test_a_work_tree_in_which_a_run_begins(cli: Cli) -> None:
    """Its mark is there before it can lose anything; and a run that comes too late says so."""
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), (*author, "commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run(["git", *words], cwd=cli.workspace, check=True)
    assert 0 == cli.run("run", "--worktree", "fix", "--", "true").returncode
    tree = Path(cli.json("worktree", "list")[0]["path"])
    home, run = Home(cli.home), new_run_id()
    with StandIns(home.workspaces / workspace_key(tree), tree).used_by(run):
        (kept,) = cli.json("worktree", "clean", "--force")["kept"]
        assert "a run works in it" == kept["why"]
    assert cli.json("worktree", "clean")["removed"]
    wanted = Wanted(
        workspace=tree,
        command=("true",),
        upstream=Upstream(),
        environ={},
        terminal=None,
        command_line="moat run",
    )
    with pytest.raises(MoatError, match="was removed"), guarded(build_plan(run, wanted), home):
        pass
    assert not tree.exists()


def test_a_work_tree_that_is_only_shown(cli: Cli) -> None:
    """Nothing is made for it."""
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), (*author, "commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run(["git", *words], cwd=cli.workspace, check=True)
    done = cli.run("run", "--worktree", "fix", "--dry-run", "--json", "--", "true")
    plan = json.loads(done.stdout)
    assert plan["workspace"]["source"].startswith(str(cli.home / "worktrees"))
    assert str(cli.workspace / ".git") in [mount["source"] for mount in plan["mounts"]]
    assert not (cli.home / "worktrees").exists()


def test_git_does_not_follow_branches_where_it_cannot_write_that_down() -> None:
    """It would end in the midst of a checkout."""
    assert "false" == git_environment((Guard(".git/config"),))["GIT_CONFIG_VALUE_0"]
    assert {} == git_environment((Guard(".git/hooks"),))
