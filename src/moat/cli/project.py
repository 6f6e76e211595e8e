"""A project's own settings, taken once the person has agreed to exactly these bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moat.cli.options import Context
from moat.cli.output import say, warn
from moat.config.project_file import OLDER_NAME, ProjectFile, find_project_file
from moat.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from moat.config.accepted import Accepted
    from moat.config.project import Project


# As many lines are on everybody's screen at once.
_SCREEN = 15
# How `describe` marks what reaches furthest.
_FAR = ("EVERY PUBLIC HOST", "CAN CHANGE", "ON YOUR MACHINE")


@dataclass(frozen=True)
class Opened:
    """A project file, and what it asks for."""

    file: ProjectFile
    project: Project
    agreed: bool

    @contextlib.contextmanager
    def told_at(self, *keys: str | int) -> Iterator[None]:
        """Whatever is wrong with what is said there is told with its place. Raises ConfigError."""
        try:
            yield
        except (ConfigError, UsageError) as error:
            place = self.file.place(*keys)
            raise ConfigError(f"{place}: {error.message}", hint=error.hint) from None


def open_project(context: Context, workspace: Path, *, trust: bool, dry_run: bool) -> Opened | None:
    """The project's file and what it asks for; None if there is none.

    Raises ConfigError for a file that cannot be taken as it stands, UsageError for one that the
    person has not agreed to.
    """
    file = find_project_file(workspace)
    if file is None:
        return None
    if file.deprecated:
        warn(f"{file.name} is the older name of moat.yaml; rename it: mv {file.name} moat.yaml")
    from moat.config.accepted import Accepted  # here, as most workspaces have no file

    project = file.read()
    accepted = Accepted(context.home.accepted)
    agreed = True
    if dry_run:
        agreed = accepted.is_accepted(file) or trust or context.settings.trust == "always"
        if not agreed:
            say(f"note: {file.path} was not agreed to yet; a run would ask")
    elif not accepted.is_accepted(file):
        if not trust and context.settings.trust != "always":
            _ask(accepted, file, project)
        accepted.accept(file)
        # What was agreed to under the older name must not come back when this file is gone.
        if not file.deprecated:
            accepted.forget(workspace / OLDER_NAME)
    return Opened(file, project, agreed)


def _ask(accepted: Accepted, file: ProjectFile, project: Project) -> None:
    """Show what the file asks for, and what of it is new; return if the person agrees."""
    from moat.config.accepted import describe, describe_change

    previous = accepted.previous(file)
    if previous is None:
        say(f"{file.path} asks for:")
        lines = describe(project)
    else:
        say(f"{file.path} has changed since you agreed to it (+ new, - gone):")
        every = describe_change(_read(file, previous), project)
        lines = tuple(line for line in every if line.startswith(("+", "-")))
        lines += (f"{len(every) - len(lines)} lines are the same as before",)
    for line in lines or ("nothing",):
        say(f"  {line}")
    if len(lines) > _SCREEN:
        # The first may be out of sight by now.
        say(f"{len(lines)} lines in all; of these reach furthest:")
        for line in [line for line in lines if any(mark in line for mark in _FAR)] or ("none",):
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
    import termios

    # What was typed before the question is no answer to it.
    with contextlib.suppress(termios.error):
        termios.tcflush(0, termios.TCIFLUSH)
    print("Run with this? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
