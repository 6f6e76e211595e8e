"""A project's own settings, taken once the person has agreed to exactly these bytes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moat.cli.options import Context
from moat.cli.output import say, warn
from moat.config.project_file import NAME, OLDER_NAME, ProjectFile, find_project_file
from moat.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from moat.config.accepted import Accepted
    from moat.config.project import Project


# As many rows are on everybody's screen at once, and as many are left for what is said again.
_SCREEN, _AGAIN = 15, 10
# How `describe` marks what reaches furthest: where no text of the file's own can stand, which is in
# quotes if it has a space.
_FAR = re.compile(
    r"[-+ ]*REACHES EVERY PUBLIC HOST|.*(AND CAN CHANGE IT|\(ON YOUR MACHINE OR YOUR NETWORK\))\Z"
)


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
    if not dry_run:
        # What was agreed to under the other name must not come back when this file is gone.
        for name in {NAME, OLDER_NAME} - {file.name}:
            accepted.forget(workspace / name)
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
    _say_again(lines)
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"{file.path} was not agreed to yet, and there is no terminal to ask at",
            hint="look at it, then add --trust; or set trust: always in config.yaml",
        )
    if not _says_yes():
        raise UsageError(f"{file.path} was not agreed to", hint="change it, or move it away")


def _say_again(lines: Sequence[str]) -> None:
    """What reaches furthest, once more: of a long list the first lines are out of sight."""
    columns = shutil.get_terminal_size().columns
    if sum(1 + (len(line) + 2) // columns for line in lines) <= _SCREEN:
        return
    far = [line for line in lines if _FAR.match(line)]
    say(f"{len(lines)} lines in all; of these reach furthest: {len(far) or 'none'}")
    for line in far[:_AGAIN]:
        say(f"  {line[: columns - 3]}")
    if len(far) > _AGAIN:
        say(f"  … and {len(far) - _AGAIN} more; read them all before you agree")


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
