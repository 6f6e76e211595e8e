"""Asking the person whether they agree to what a project's own file asks for."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from moat.cli.output import say
from moat.config.project_file import ProjectFile
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


def agree(accepted: Accepted, file: ProjectFile, project: Project) -> None:
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

    try:
        return file._replace(content=text.encode()).read()
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
