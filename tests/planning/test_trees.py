"""What is told of the work tree that a run is to have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from moat.config.paths import Home, ensure_home
from moat.config.settings import Settings
from moat.planning.context import Context
from moat.planning.trees import open_worktree
from moat.run.workspace import Guarded

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.com")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a directory below it."""
    top = (tmp_path / "work").resolve()
    (top / "docs/api").mkdir(parents=True)
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "begin")):
        subprocess.run(["git", *AUTHOR, *words], cwd=top, check=True)
    return top


@pytest.mark.parametrize("make", [True, False])
def test_a_directory_of_a_repository(repository: Path, tmp_path: Path, *, make: bool) -> None:
    """Which repository is taken, that all of it is, and where the run begins."""
    told: list[str] = []
    home = Home(tmp_path / "moat")
    ensure_home(home)
    context = Context(home, Settings(), told.append)
    guarded = Guarded((), home.root)
    workspace = repository / "docs/api"
    tree, _ = open_worktree(context, workspace, "fix", guarded=guarded, make=make)
    assert repository == tree.repository
    assert told[0] == (
        f"note: {workspace} is a directory of the repository {repository}: the run has a work tree "
        "of all of it, and begins at its top; there this directory is docs/api"
    )
    told.clear()
    open_worktree(context, repository, "other", guarded=guarded, make=make)
    assert not any("note" in text for text in told)
