"""A path that is allowed to a run, and was not forbidden or still is, is told of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from moat.planning.allowing import without_effect
from moat.workspace.known import NOTHING_KNOWN

NOTHING = "nothing guards it, so the run may change it anyway"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """One with a repository, whose hooks there are."""
    place = tmp_path.resolve() / "work"
    (place / "sub").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "."], cwd=place, check=True)
    (place / ".git/hooks").mkdir(exist_ok=True)
    return place


def told(workspace: Path, *given: str, common: Path | None = None) -> list[str]:
    environ = {"HOME": str(workspace.parent)}
    return [*without_effect(given, workspace, common=common, environ=environ, known=NOTHING_KNOWN)]


@pytest.mark.parametrize(
    "path", [".git", ".git/config", ".git/hooks", ".envrc", ".vscode", ".vscode/tasks.json"]
)
def test_what_is_guarded_is_allowed_in_silence(workspace: Path, path: str) -> None:
    """Whether it exists or not."""
    assert [] == told(workspace, path)


@pytest.mark.parametrize("path", ["package.json", "sub", "sub/.envrc", ".git/index", ".git/HEAD"])
def test_what_nothing_guards(workspace: Path, path: str) -> None:
    """The run may change it anyway."""
    assert [f"warning: --allow-write {path} changes nothing: {NOTHING}"] == told(workspace, path)


def test_what_is_guarded_with_more(workspace: Path) -> None:
    """It stays guarded, which nobody who typed it expects."""
    assert [
        "warning: --allow-write .git/hooks/pre-commit changes nothing: it is guarded together with "
        "all of .git/hooks, which can be named instead"
    ] == told(workspace, ".git/hooks/pre-commit")


def test_each_is_told_of_once(workspace: Path) -> None:
    """And by itself, whatever else is allowed."""
    assert 1 == len(told(workspace, "a", ".envrc", "a"))


def test_the_repository_of_a_work_tree(workspace: Path) -> None:
    """Its settings are guarded where it is, and are meant by the same name."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    tree = workspace.parent / "tree"
    for words in (("commit", "-q", "--allow-empty", "-m", "a"), ("worktree", "add", "-q", tree)):
        subprocess.run([*git, *words], cwd=workspace, check=True)
    common = workspace / ".git"
    assert [] == told(tree, ".git/config", common=common)
    assert 1 == len(told(tree, ".git/index", common=common))
