"""What a project asks for, held against this machine; what is wrong is told with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from moat.errors import UsageError
from moat.planning.project import Opened
from moat.providers.registry import agent_names, get_provider
from moat.run.dependencies import meet
from moat.run.environment import check_variable
from moat.run.mounts import resolve_mounts
from moat.run.workspace import Guarded


def check_project(
    opened: Opened, *, workspace: Path, guarded: Guarded, has: Callable[[str], bool]
) -> None:
    """See that its agent, grants, dependencies and mounts are such; `has` says whether a grant is
    stored. Raises ConfigError."""
    project = opened.project
    if project.agent and project.agent not in agent_names():
        with opened.told_at("agent"):
            raise UsageError(
                f"there is no agent {project.agent!r}",
                hint=f"known agents: {', '.join(agent_names())}",
            )
    for number, name in enumerate(project.grants):
        with opened.told_at("grants", number):
            get_provider(name, has=has)
    for number, dependency in enumerate(project.dependencies if opened.agreed else ()):
        with opened.told_at("dependencies", number):
            meet(dependency)
    for number, mount in enumerate(project.mounts):
        with opened.told_at("mounts", number):
            resolve_mounts([("the mount", mount)], workspace=workspace, guarded=guarded)


def check_variables(opened: Opened, grants: Mapping[str, Mapping[str, str]]) -> None:
    """See that its variables are its to set; `grants` are placeholders by grant.

    Raises ConfigError.
    """
    held = {name: value for variables in grants.values() for name, value in variables.items()}
    for name in opened.project.env:
        with opened.told_at("env", name):
            check_variable(name, held)
