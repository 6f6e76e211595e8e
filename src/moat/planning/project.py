"""A project's own settings, taken once the person has agreed to exactly these bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moat.config.project_file import NAME, OLDER_NAME, ProjectFile, find_project_file
from moat.errors import ConfigError, UsageError
from moat.planning.context import Context

if TYPE_CHECKING:
    from moat.config.project import Project


class Opened(NamedTuple):
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
        context.tell(
            f"warning: {file.name} is the older name of moat.yaml; "
            f"rename it: mv {file.name} moat.yaml"
        )
    from moat.config.accepted import Accepted  # here, as most workspaces have no file

    project = file.read()
    accepted = Accepted(context.home.accepted)
    agreed = True
    if dry_run:
        agreed = accepted.is_accepted(file) or trust or context.settings.trust == "always"
        if not agreed:
            context.tell(f"note: {file.path} was not agreed to yet; a run would ask")
    elif not accepted.is_accepted(file):
        if not trust and context.settings.trust != "always":
            context.agree(accepted, file, project)
        accepted.accept(file)
    if not dry_run:
        # What was agreed to under the other name must not come back when this file is gone.
        for name in {NAME, OLDER_NAME} - {file.name}:
            accepted.forget(workspace / name)
    return Opened(file, project, agreed)
