"""A project's own settings, taken once the person has agreed to exactly these bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from moat.cli.options import Context
from moat.cli.output import say, warn
from moat.config.project_file import ProjectFile, find_project_file
from moat.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from moat.config.accepted import Accepted
    from moat.config.project import Project


def open_project(
    context: Context, workspace: Path, *, trust: bool, dry_run: bool
) -> tuple[str | None, Project | None]:
    """The name of the project's file, and what it asks for; None and None if there is none.

    Raises ConfigError for a file that cannot be taken as it stands, UsageError for one that the
    person has not agreed to.
    """
    file = find_project_file(workspace)
    if file is None:
        return None, None
    if file.deprecated:
        warn(f"{file.name} is the older name of moat.yaml; rename it: mv {file.name} moat.yaml")
    from moat.config.accepted import Accepted  # here, as most workspaces have no file

    project = file.read()
    accepted = Accepted(context.home.accepted)
    if dry_run:
        if not accepted.is_accepted(file):
            say(f"note: {file.path} was not agreed to yet; a run would ask")
    elif not accepted.is_accepted(file):
        if not trust and context.settings.trust != "always":
            _ask(accepted, file, project)
        accepted.accept(file)
    return file.name, project


def _ask(accepted: Accepted, file: ProjectFile, project: Project) -> None:
    """Show what the file asks for, and what of it is new; return if the person agrees."""
    from moat.config.accepted import describe, describe_change

    previous = accepted.previous(file)
    if previous is None:
        say(f"{file.path} asks for:")
        lines = describe(project)
    else:
        say(f"{file.path} has changed since you agreed to it (+ new, - gone):")
        lines = describe_change(_read(file, previous), project)
        if not any(line.startswith(("+", "-")) for line in lines):
            lines = ("what it asks for is the same as before",)
    for line in lines or ("nothing",):
        say(f"  {line}")
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"{file.path} was not agreed to yet, and there is no terminal to ask at",
            hint="look at it, then add --trust; or set trust: always in config.yaml",
        )
    if not _says_yes():
        raise UsageError(f"{file.path} was not agreed to", hint="change it, or move it away")


def _read(file: ProjectFile, text: str) -> Project | None:
    """What was agreed to before, if it can still be read."""
    from dataclasses import replace

    try:
        return replace(file, content=text.encode()).read()
    except ConfigError:
        return None


def _says_yes() -> bool:
    import sys

    print("Run with this? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
