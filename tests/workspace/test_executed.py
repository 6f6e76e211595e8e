"""Which files programs of the host run or obey, by their names."""

from __future__ import annotations

import pytest

from moat.workspace.executed import UNITS, why_executed


@pytest.mark.parametrize(
    "path",
    [
        ".git/config", ".git/hooks/pre-commit", "a/b/.git/config", ".git/modules/x/config", ".git",
        "sub/.git", ".git/worktrees/x/commondir", ".git/config.worktree", ".envrc", "a/.envrc",
        ".vscode/tasks.json", "a/.vscode/settings.json", "moat.yaml", "Makefile", "a/package.json",
        "conftest.py", ".github/workflows/ci.yml", "my.code-workspace", ".husky/pre-commit",
        ".git/rebase-merge/git-rebase-todo", ".claude/settings.json",
    ],
)  # fmt: skip
def test_obeyed(path: str) -> None:
    """With a reason."""
    assert why_executed(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "src/config", "hooks/pre-commit", ".git/index", ".git/HEAD",
        ".git/refs/heads/config",
        ".git/hooks/pre-commit.sample", ".vscode/notes.md", "envrc", "a.git/config",
        ".git/objects/ab/c",
        ".claude/commands/x.md",
    ],
)  # fmt: skip
def test_not_obeyed(path: str) -> None:
    """What is everybody's daily work."""
    assert why_executed(path) is None


def test_every_unit_is_told_of() -> None:
    """What is guarded has a reason when it has changed."""
    for unit in UNITS:
        assert why_executed(f"{unit.path}/{unit.members[0]}" if unit.members else unit.path)
