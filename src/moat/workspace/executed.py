"""Which files of a workspace programs of the host run or obey. Pure: names in, reasons out.

Two classes. What is obeyed without being asked for (by changing into the directory, by opening it,
by any git command) is a `Unit`, guarded by default. What runs when the person builds or tests is
everyday work of an agent: it is not guarded, and shown when it has changed.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from moat.config.project_file import NAME, OLDER_NAME


class Unit(NamedTuple):
    """A file or directory at the top of a workspace that is guarded as a whole.

    `members` are what of a directory is obeyed, each guarded by itself where one of them is
    allowed. `new` says that one which appears is obeyed as well, so it may not appear.
    """

    path: str
    why: str
    members: tuple[str, ...] = ()
    new: bool = True


_MISE = "mise obeys it when you change into the directory"
UNITS = (
    Unit(NAME, "Moat obeys it"),
    Unit(OLDER_NAME, "Moat obeys it", new=False),
    Unit(".envrc", "direnv runs it when you change into the directory"),
    Unit(".mise.toml", _MISE, new=False),
    Unit("mise.toml", _MISE, new=False),
    Unit(".mcp.json", "agents and editors start what it names"),
    Unit(".devcontainer.json", "editors run its initializeCommand"),
    Unit(
        ".vscode",
        "VS Code runs its tasks and the programs its settings name",
        ("launch.json", "mcp.json", "settings.json", "tasks.json"),
    ),
    Unit(
        ".idea",
        "JetBrains editors run what its configurations name",
        ("externalDependencies.xml", "runConfigurations", "watcherTasks.xml", "workspace.xml"),
    ),
    Unit(".zed", "Zed runs what its settings name", ("debug.json", "settings.json", "tasks.json")),
    Unit(".devcontainer", "editors run its initializeCommand", new=False),
    Unit(
        ".claude",
        "Claude Code runs its hooks",
        ("hooks", "settings.json", "settings.local.json"),
    ),
    Unit(".codex", "Codex obeys it", ("config.toml", "hooks.json", "rules")),
    Unit(".cursor", "Cursor starts what it names", ("environment.json", "hooks.json", "mcp.json")),
    Unit(".gemini", "Gemini CLI obeys it", ("settings.json",)),
    Unit(".husky", "git runs its hooks", new=False),
)
NEVER_ALLOWED = frozenset({NAME, OLDER_NAME})

# Without these a directory is no repository: one of them that cannot be made keeps the top of a
# workspace from becoming one itself, which git would obey if .git were broken.
BARE_NEEDS = ("refs", "objects", "HEAD")

_BY_NAME = {unit.path: unit for unit in UNITS}
_GIT = {
    "config": "git obeys it, and runs what it names",
    "config.worktree": "git obeys it, and runs what it names",
    "commondir": "git takes its settings and hooks from where it leads",
    "git-rebase-todo": "git runs its exec lines when the rebase goes on",
}
_BUILD = {
    **dict.fromkeys(("Makefile", "GNUmakefile", "makefile"), "make runs it"),
    **dict.fromkeys(("package.json", ".npmrc", ".pnpmfile.cjs"), "npm runs its scripts"),
    **dict.fromkeys((".yarnrc.yml", ".yarnrc"), "yarn obeys it"),
    **dict.fromkeys(("conftest.py", "pytest.ini", "tox.ini", "noxfile.py"), "test runs obey it"),
    **dict.fromkeys(("setup.py", "setup.cfg", "pyproject.toml"), "builds and test runs obey it"),
    **dict.fromkeys(("sitecustomize.py", "usercustomize.py"), "Python runs it when it starts"),
    **dict.fromkeys(("build.rs", "Cargo.toml"), "cargo obeys it"),
    **dict.fromkeys(("build.gradle", "build.gradle.kts", "settings.gradle"), "gradle runs it"),
    **dict.fromkeys(("gradlew", "mvnw", "configure"), "builds run it"),
    **dict.fromkeys(("pom.xml", "CMakeLists.txt", "meson.build"), "builds obey it"),
    **dict.fromkeys(("Rakefile", "Gemfile"), "ruby runs it"),
    **dict.fromkeys(("justfile", "Justfile", "Taskfile.yml"), "task runners run it"),
    **dict.fromkeys(("Dockerfile", "Containerfile"), "image builds run it"),
    **dict.fromkeys(("compose.yaml", "compose.yml", "docker-compose.yml"), "docker obeys it"),
    **dict.fromkeys((".pre-commit-config.yaml", "lefthook.yml"), "git hooks run what it names"),
    **dict.fromkeys((".gitlab-ci.yml", ".travis.yml"), "CI runs it"),
    **dict.fromkeys((".exrc", ".nvimrc", ".nvim.lua"), "vim may run it when a file is opened"),
    **dict.fromkeys((".gdbinit", ".lldbinit"), "debuggers may run it"),
    ".dir-locals.el": "Emacs may run it when a file is opened",
    ".env": "programs started here may take their environment from it",
    ".gitattributes": "it chooses which configured filters git runs",
    ".gitmodules": "it says where git gets submodules from",
}
_BELOW = {
    (".github", "workflows"): "CI runs it",
    (".cargo", "config.toml"): "cargo obeys it",
    (".circleci", "config.yml"): "CI runs it",
}


def why_executed(path: str) -> str | None:
    """Why a program of the host would run or obey a file, by its path below the workspace."""
    parts = PurePosixPath(path).parts
    if ".git" in parts:
        return _of_git(parts[parts.index(".git") + 1 :])
    for depth, part in enumerate(parts):
        if (unit := _BY_NAME.get(part)) is not None and _is_obeyed(unit, parts[depth + 1 :]):
            return unit.why
    for pair, why in _BELOW.items():
        if any(parts[at : at + 2] == pair for at in range(len(parts))):
            return why
    if parts and parts[-1].endswith(".code-workspace"):
        return "VS Code runs its tasks and the programs its settings name"
    return _BUILD.get(parts[-1]) if parts else None


def _is_obeyed(unit: Unit, below: tuple[str, ...]) -> bool:
    return not unit.members or not below or below[0] in unit.members


def _of_git(below: tuple[str, ...]) -> str | None:
    """Of what is in a repository's own directory, or is its `.git` file."""
    if not below:
        return "git takes its settings and hooks from where it leads"
    if "hooks" in below[:-1] and not below[-1].endswith(".sample"):
        return "git runs it"
    if below[0] in ("logs", "objects", "refs"):
        return None
    return _GIT.get(below[-1])
