"""Git work trees of runs: made, found again, taken away, by a git that obeys no agent."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from moat.errors import MoatError, UsageError
from moat.workspace.git import HostGit
from moat.workspace.worktrees import (
    Worktree,
    ensure_worktree,
    find_worktree,
    list_worktrees,
    remove_worktree,
    state_of,
)


class Person:
    """A repository with a commit, and where Moat keeps work trees."""

    def __init__(self, place: Path) -> None:
        self.work = place / "work"
        self.kept = place / "moat/worktrees"
        self.mark = place / "mark"
        self.work.mkdir()
        environ = {"PATH": os.environ["PATH"], "HOME": str(place)}
        self.host = HostGit(environ, (self.work,))
        self.git("init", "-q", "-b", "main")
        (self.work / "a").write_text("a")
        self.commit()

    def git(self, *words: str, where: Path | None = None) -> str:
        author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        return subprocess.run(
            ["git", *author, *words],
            cwd=where or self.work,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def commit(self, where: Path | None = None) -> None:
        self.git("add", "-A", where=where)
        self.git("commit", "-q", "-m", "some", where=where)

    def find(self, branch: str) -> Worktree:
        return find_worktree(self.host, self.work, branch, lambda top: self.kept / top.name)

    def make(self, branch: str = "fix") -> Worktree:
        tree = self.find(branch)
        assert ensure_worktree(self.host, tree)
        return tree


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody with a repository."""
    return Person(tmp_path)


def test_it_is_made_with_its_branch(person: Person) -> None:
    """From what is checked out; locked, and noted."""
    tree = person.make()
    assert person.kept / "work/fix" == tree.path
    assert "a" == (tree.path / "a").read_text()
    assert "fix\n" == person.git("branch", "--show-current", where=tree.path)
    assert "locked" in person.git("worktree", "list", "--porcelain")
    assert [tree] == list(list_worktrees(person.kept))


def test_it_is_found_again(person: Person) -> None:
    """With what is in it."""
    tree = person.make()
    (tree.path / "new").write_text("")
    assert not ensure_worktree(person.host, person.find("fix"))
    assert (tree.path / "new").exists()


def test_a_branch_that_is_there_is_checked_out(person: Person) -> None:
    """As it is."""
    person.git("branch", "old")
    (person.work / "b").write_text("b")
    person.commit()
    assert not (person.make("old").path / "b").exists()


def test_names_with_slashes_have_directories_of_their_own(person: Person) -> None:
    """None of which is in another's."""
    first, second = person.make("a/b"), person.make("a-b")
    assert first.path.parent == second.path.parent
    assert first.path != second.path


def test_one_that_was_removed_by_hand_is_made_again(person: Person) -> None:
    """Git still knows of it."""
    tree = person.make()
    shutil.rmtree(tree.path)
    assert ensure_worktree(person.host, tree)


@pytest.mark.parametrize("branch", ["", "-x", "a b", "a..b", "@{-1}", "x.lock", "../x"])
def test_what_is_no_name(person: Person, branch: str) -> None:
    """Refused before anything is asked of the repository."""
    with pytest.raises(UsageError, match="--worktree"):
        person.find(branch)


def test_a_branch_that_is_checked_out_elsewhere(person: Person) -> None:
    """Git lets it be in one work tree only; said where."""
    with pytest.raises(UsageError, match=f"checked out at {person.work}"):
        ensure_worktree(person.host, person.find("main"))


def test_no_repository(person: Person, tmp_path: Path) -> None:
    """Said, with what to do."""
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no git repository") as caught:
        find_worktree(person.host, tmp_path / "none", "x", lambda top: top)
    assert "git init" in (caught.value.hint or "")


def test_no_commit(person: Person, tmp_path: Path) -> None:
    """There is nothing to begin from."""
    (tmp_path / "new").mkdir()
    person.git("init", "-q", where=tmp_path / "new")
    with pytest.raises(UsageError, match="no commit yet"):
        find_worktree(person.host, tmp_path / "new", "x", lambda top: top)


def test_a_git_file_that_leads_to_a_repository_of_the_persons(
    person: Person, tmp_path: Path
) -> None:
    """It would be given to the box."""
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/.git").write_text(f"gitdir: {person.work}/.git\n")
    with pytest.raises(UsageError, match="leads elsewhere"):
        find_worktree(person.host, tmp_path / "evil", "x", lambda top: top)
    shutil.copytree(person.work, tmp_path / "copy")
    (tmp_path / "copy/.git/commondir").write_text(f"{person.work}/.git\n")
    with pytest.raises(UsageError, match="leads elsewhere"):
        find_worktree(person.host, tmp_path / "copy", "x", lambda top: top)


def test_the_work_tree_of_a_work_tree_is_its_repositorys(person: Person, tmp_path: Path) -> None:
    """Twin: one that the repository knows of is plain."""
    person.git("worktree", "add", "-q", str(tmp_path / "linked"))
    found = find_worktree(person.host, tmp_path / "linked", "x", lambda top: person.kept / top.name)
    assert person.find("x") == found


def test_nothing_of_the_repository_runs(person: Person) -> None:
    """Hooks, filters and whatever watches files."""
    touch = f"touch {person.mark}"
    (person.work / ".gitattributes").write_text("* filter=evil\n")
    person.commit()
    for name in ("smudge", "clean", "process"):
        person.git("config", f"filter.evil.{name}", f"{touch}; cat")
    person.git("config", "core.fsmonitor", f"{touch}; false")
    hook = person.work / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\n{touch}\n")
    hook.chmod(0o755)
    tree = person.make()
    (tree.path / "a").write_text("other")
    assert "changed" == state_of(person.host, tree)
    remove_worktree(person.host, tree)
    assert not person.mark.exists()
    # It would have.
    person.git("worktree", "add", "-q", "../again")
    assert person.mark.exists()


def test_states(person: Person) -> None:
    """What would be lost."""
    tree = person.make()
    assert "clean" == state_of(person.host, tree)
    (tree.path / "new").write_text("")
    assert "changed" == state_of(person.host, tree)
    person.commit(tree.path)
    assert "clean" == state_of(person.host, tree)
    person.git("checkout", "-q", "--detach", where=tree.path)
    assert "detached" == state_of(person.host, tree)
    shutil.rmtree(tree.path)
    assert "gone" == state_of(person.host, tree)


@pytest.mark.parametrize("where", [".gitignore", "exclude"])
def test_files_that_git_ignores(person: Person, where: str) -> None:
    """They are in no commit."""
    tree = person.make()
    exclude = tree.path / where if where == ".gitignore" else person.work / ".git/info/exclude"
    exclude.write_text(".env\nbuild/\n")
    person.git("add", "-A", where=tree.path)
    person.git("commit", "-q", "--allow-empty", "-m", "x", where=tree.path)
    assert "clean" == state_of(person.host, tree)
    (tree.path / "build").mkdir()
    (tree.path / "build/.env").write_text("x")
    assert "ignored" == state_of(person.host, tree)
    (tree.path / "new").write_text("x")
    assert "changed" == state_of(person.host, tree)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_files_that_git_is_told_not_to_look_at(person: Person, flag: str) -> None:
    """What they hold nobody knows; one that is not there holds nothing."""
    tree = person.make()
    person.git("update-index", flag, "a", where=tree.path)
    (tree.path / "a").write_text("other")
    assert "" == person.git("status", "--porcelain", where=tree.path)
    assert "changed" == state_of(person.host, tree)
    (tree.path / "a").unlink()
    assert "clean" == state_of(person.host, tree)


def test_a_file_that_looks_as_it_did(person: Person) -> None:
    """Settings of the repository would have git believe its size and time."""
    tree = person.make()
    person.git("config", "core.trustctime", "false")
    person.git("config", "core.checkStat", "minimal")
    old = 10**18
    os.utime(tree.path / "a", ns=(old, old))
    person.git("status", where=tree.path)
    time.sleep(1.1)  # git compares seconds
    (tree.path / "a").write_text("b")
    os.utime(tree.path / "a", ns=(old, old))
    assert "" == person.git("status", "--porcelain", where=tree.path)
    assert "changed" == state_of(person.host, tree)


def test_submodules_are_not_looked_into(person: Person, tmp_path: Path) -> None:
    """They have settings of their own, which git would obey."""
    person.git("clone", "-q", str(person.work), str(tmp_path / "lib"))
    tree = person.make()
    allow = ("-c", "protocol.file.allow=always")
    person.git(*allow, "submodule", "--quiet", "add", str(tmp_path / "lib"), "sub", where=tree.path)
    person.commit(tree.path)
    person.git("config", "core.fsmonitor", f"touch {person.mark}; false", where=tree.path / "sub")
    assert "changed" == state_of(person.host, tree)
    assert not person.mark.exists()


def test_it_is_removed_and_its_branch_stays(person: Person) -> None:
    """With all that was committed."""
    tree = person.make()
    remove_worktree(person.host, tree)
    assert not tree.path.exists()
    assert [] == list(list_worktrees(person.kept))
    assert "fix" in person.git("branch")
    assert str(tree.path) not in person.git("worktree", "list")


def test_it_is_removed_when_its_repository_is_gone(person: Person) -> None:
    """There is nobody to tell."""
    tree = person.make()
    shutil.rmtree(person.work)
    assert "gone" == state_of(person.host, tree)
    remove_worktree(person.host, tree)
    assert not tree.path.exists()


def test_a_directory_that_git_knows_nothing_of(person: Person) -> None:
    """It is not taken for one."""
    tree = person.find("fix")
    tree.path.mkdir(parents=True)
    with pytest.raises(MoatError, match="knows nothing of it"):
        ensure_worktree(person.host, tree)
