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
        ".git/hooks", ".git/modules/refs/hooks/x", ".git/info/attributes", ".git/remotes/origin",
        ".github", ".cargo", ".mvn/extensions.xml", ".mvn", "gradle/wrapper/gradle-wrapper.jar",
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
        ".claude/commands/x.md", "mise/main.py", ".config/other", "promise.toml",
    ],
)  # fmt: skip
def test_not_obeyed(path: str) -> None:
    """What is everybody's daily work."""
    assert why_executed(path) is None


@pytest.mark.parametrize(
    "path",
    [
        ".config/mise/config.toml", "a/.config/mise.toml", "mise/config.toml", "mise.dev.toml",
        ".mise.dev.local.toml", ".miserc.toml", ".rtx.toml", "mise/conf.d/x.toml",
        "mise.local.toml", ".mise.local.toml", ".mise/config.toml", "a/mise.toml", ".tool-versions",
        ".helix/languages.toml", ".lvimrc", ".ycm_extra_conf.py", "eslint.config.js",
        ".prettierrc.js", "a/.git/hooks/x", ".gitattributes", "x.code-workspace",
    ],
)  # fmt: skip
def test_it_takes_no_command_of_the_persons(path: str) -> None:
    """Opening something, or changing into it, is enough."""
    why = why_executed(path)
    assert why is not None
    assert not why.asked


@pytest.mark.parametrize(
    "path",
    [
        "flake.nix", "shell.nix", "default.nix", ".pdbrc", ".irbrc", ".rspec", ".bazelrc",
        "tools/bazel", "Vagrantfile", "bunfig.toml", "settings.gradle.kts", "build.sbt",
        "jest.config.ts", "vite.config.mjs", "webpack.config.js", ".mocharc.js",
        "compose.override.yml", "docker-compose.override.yml", "Taskfile.yaml", "taskfile.yml",
        "SConstruct", "Jenkinsfile", "Procfile", "Makefile", "mise-tasks/x", ".mise-tasks/x",
        "mise/tasks/x",
    ],
)  # fmt: skip
def test_it_takes_a_build_or_a_test(path: str) -> None:
    """It is shown behind the others."""
    why = why_executed(path)
    assert why is not None
    assert why.asked


def test_every_unit_is_told_of() -> None:
    """What is guarded has a reason when it has changed."""
    for unit in UNITS:
        assert why_executed(f"{unit.path}/{unit.members[0]}" if unit.members else unit.path)
