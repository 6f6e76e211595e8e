"""Which files of a workspace programs of the host run or obey. Pure: names in, reasons out.

Two classes. Some are obeyed without being asked for: by changing into the directory, by opening it,
by any git command. Those at the top of a workspace are `Unit`s, guarded by default. What runs when
the person builds or tests is everyday work of an agent: it is not guarded, and shown when it has
changed, behind the first.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from moat.config.project_file import NAME, OLDER_NAME


class Why(NamedTuple):
    """Why a program runs or obeys a file, in words; `asked` says that it takes a command of the
    person's that is known to run things, such as a build."""

    text: str
    asked: bool = False


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
    *(
        Unit(name, _MISE)
        for name in ("mise.toml", ".mise.toml", "mise.local.toml", ".mise.local.toml")
    ),
    Unit(".mise", _MISE, ("conf.d", "config.local.toml", "config.toml", "tasks")),
    *(
        Unit(path, _MISE, new=False)
        for path in (
            *(".miserc.toml", ".rtx.toml", ".config/mise.toml", ".config/mise"),
            *("mise/config.toml", "mise/config.local.toml", "mise/conf.d"),
        )
    ),
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
_LEADS = "git takes its settings and hooks from where it leads"
_GIT = {
    "config": "git obeys it, and runs what it names",
    "config.worktree": "git obeys it, and runs what it names",
    "commondir": _LEADS,
    "modules": _LEADS,
    "worktrees": _LEADS,
    "git-rebase-todo": "git runs its exec lines when the rebase goes on",
    "attributes": "it chooses which configured filters git runs",
}
# Branches may have any name: below these nothing is obeyed.
GIT_KEEPS = frozenset({"logs", "objects", "refs"})

_MISE_ITSELF = re.compile(r"\.?(mise|rtx)(\.[\w-]+)*\.toml|\.miserc(\.[\w-]+)*\.toml")
_JS_TOOLS = re.compile(r"([\w-]+\.config|\.[\w-]+rc)\.[cm]?[jt]s")
_LINTERS = re.compile(r"(eslint|prettier|stylelint)\.config|\.(eslint|prettier|stylelint)rc")
_BY_ITSELF = {
    **dict.fromkeys((".pre-commit-config.yaml", "lefthook.yml"), "git hooks run what it names"),
    **dict.fromkeys((".exrc", ".nvimrc", ".nvim.lua"), "vim may run it when a file is opened"),
    **dict.fromkeys((".lvimrc", ".ycm_extra_conf.py"), "vim may run it when a file is opened"),
    ".dir-locals.el": "Emacs may run it when a file is opened",
    ".gitattributes": "it chooses which configured filters git runs",
    ".gitmodules": "it says where git gets submodules from",
    ".tool-versions": "mise and asdf obey it when you change into the directory",
}
_BUILD = {
    **dict.fromkeys(("Makefile", "GNUmakefile", "makefile"), "make runs it"),
    **dict.fromkeys(("package.json", ".npmrc", ".pnpmfile.cjs"), "npm runs its scripts"),
    **dict.fromkeys((".yarnrc.yml", ".yarnrc"), "yarn obeys it"),
    "bunfig.toml": "bun runs what it names",
    **dict.fromkeys(("conftest.py", "pytest.ini", "tox.ini", "noxfile.py"), "test runs obey it"),
    **dict.fromkeys(("setup.py", "setup.cfg", "pyproject.toml"), "builds and test runs obey it"),
    **dict.fromkeys(("sitecustomize.py", "usercustomize.py"), "Python runs it when it starts"),
    **dict.fromkeys(("build.rs", "Cargo.toml"), "cargo obeys it"),
    **dict.fromkeys(("build.gradle", "build.gradle.kts"), "gradle runs it"),
    **dict.fromkeys(("settings.gradle", "settings.gradle.kts"), "gradle runs it"),
    **dict.fromkeys(("gradlew", "mvnw", "configure"), "builds run it"),
    **dict.fromkeys(("pom.xml", "CMakeLists.txt", "meson.build"), "builds obey it"),
    **dict.fromkeys(("build.sbt", "SConstruct", "SConscript"), "builds run it"),
    **dict.fromkeys((".bazelrc", "MODULE.bazel", "WORKSPACE"), "bazel obeys it"),
    **dict.fromkeys(("Rakefile", "Gemfile"), "ruby runs it"),
    **dict.fromkeys((".irbrc", ".rspec"), "ruby's irb and rspec obey it"),
    **dict.fromkeys(("justfile", "Justfile"), "task runners run it"),
    **dict.fromkeys(
        ("Taskfile.yml", "Taskfile.yaml", "taskfile.yml", "taskfile.yaml"), "task runners run it"
    ),
    **dict.fromkeys(("flake.nix", "shell.nix", "default.nix"), "nix builds and runs what it says"),
    **dict.fromkeys(("Dockerfile", "Containerfile"), "image builds run it"),
    **dict.fromkeys(
        (f"{stem}{more}.{end}" for stem in ("compose", "docker-compose")
         for more in ("", ".override") for end in ("yaml", "yml")),
        "docker obeys it",
    ),
    "Vagrantfile": "vagrant runs it",
    "Procfile": "process managers run what it names",
    **dict.fromkeys((".gitlab-ci.yml", ".travis.yml", "Jenkinsfile"), "CI runs it"),
    **dict.fromkeys((".gdbinit", ".lldbinit", ".pdbrc"), "debuggers may run it"),
    ".env": "programs started here may take their environment from it",
}  # fmt: skip
_BELOW = {
    (".helix", ""): Why("Helix starts what it names when a file is opened"),
    ("mise", "tasks"): Why("mise runs it", asked=True),
    **{(name, ""): Why("mise runs it", asked=True) for name in ("mise-tasks", ".mise-tasks")},
    **{("mise", name): Why(_MISE) for name in ("conf.d", "config.local.toml", "config.toml")},
    (".config", "mise"): Why(_MISE),
    (".config", "mise.toml"): Why(_MISE),
    (".github", "workflows"): Why("CI runs it", asked=True),
    (".cargo", "config.toml"): Why("cargo obeys it", asked=True),
    (".cargo", "config"): Why("cargo obeys it", asked=True),
    (".circleci", "config.yml"): Why("CI runs it", asked=True),
    (".mvn", ""): Why("maven obeys it, and runs its extensions", asked=True),
    ("gradle", "wrapper"): Why("the gradle wrapper runs it", asked=True),
    ("tools", "bazel"): Why("bazel runs it", asked=True),
}
# A link that has one of these names stands for a directory with all that is in it.
_LINKS = {above: why for (above, _), why in _BELOW.items() if above not in ("gradle", "tools")}


def why_executed(path: str) -> Why | None:
    """Why a program of the host would run or obey a file, by its path below the workspace."""
    parts = PurePosixPath(path).parts
    if not parts:
        return None
    if ".git" in parts:
        said = _of_git(parts[parts.index(".git") + 1 :])
        return Why(said) if said else None
    for depth, part in enumerate(parts):
        if (unit := _BY_NAME.get(part)) is not None and _is_obeyed(unit, parts[depth + 1 :]):
            return Why(unit.why)
    for at, above in enumerate(parts[:-1]):
        if why := _BELOW.get((above, parts[at + 1])) or _BELOW.get((above, "")):
            return why
    return _LINKS.get(parts[-1]) or _of_name(parts[-1])


def _of_name(name: str) -> Why | None:
    if said := _BY_ITSELF.get(name):
        return Why(said)
    if _MISE_ITSELF.fullmatch(name):
        return Why(_MISE)
    if name.endswith(".code-workspace"):
        return Why("VS Code runs its tasks and the programs its settings name")
    if _JS_TOOLS.fullmatch(name):
        if _LINTERS.match(name):
            return Why("linters run it, in editors too")
        return Why("JavaScript's tools run it", asked=True)
    if said := _BUILD.get(name):
        return Why(said, asked=True)
    return None


def _is_obeyed(unit: Unit, below: tuple[str, ...]) -> bool:
    return not unit.members or not below or below[0] in unit.members


def _of_git(below: tuple[str, ...]) -> str | None:
    """Of what is in a repository's own directory, or is its `.git` file."""
    if not below:
        return _LEADS
    if below[0] in GIT_KEEPS:
        return None
    if "hooks" in below and not below[-1].endswith(".sample"):
        return "git runs it"
    if below[0] in ("branches", "remotes"):
        return "git fetches from where it says"
    return _GIT.get(below[-1])
