"""What every plan is made from: Moat's directory, the person's settings, and who hears of what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from moat.config.paths import Home
from moat.config.settings import Settings
from moat.errors import UsageError

if TYPE_CHECKING:
    from moat.config.accepted import Accepted
    from moat.config.project import Project
    from moat.config.project_file import ProjectFile


def tell_nobody(text: str) -> None:  # as its signature is
    """There is nobody to hear it."""


def agree_to_nothing(accepted: Accepted, file: ProjectFile, project: Project) -> None:  # noqa: ARG001
    """There is nobody to agree. Raises UsageError."""
    raise UsageError(
        f"{file.path} was not agreed to yet, and there is nobody to ask",
        hint="look at it, then plan with trust; or set trust: always in config.yaml",
    )


class Context(NamedTuple):
    """`tell` is told what the person should know; `agree` returns if they agree to a project's
    file, and raises UsageError if not."""

    home: Home
    settings: Settings
    tell: Callable[[str], None] = tell_nobody
    agree: Callable[[Accepted, ProjectFile, Project], None] = agree_to_nothing
