"""Options of a run that are checked against this machine: variables, mounts, a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from moat.config.project import ProjectMount
from moat.core.ids import is_run_id
from moat.core.limits import OPTIONS, Said, parse_limit
from moat.errors import UsageError
from moat.run.finding import list_runs
from moat.run.mounts import parse_mount, resolve_mounts
from moat.run.record import LIVE
from moat.run.workspace import Guarded
from moat.runtimes.interface import Mount


def limits(given: Mapping[str, str]) -> Said:
    """What the options about limits say. Raises UsageError."""
    found = []
    for option, text in given.items():
        name = OPTIONS[option]
        try:
            found.append((name, parse_limit(name, text)))
        except ValueError as error:
            hint = f"for no limit: --{option} none"
            raise UsageError(f"--{option}: {error}", hint=hint) from None
    return tuple(found)


def variables(given: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`NAME=VALUE`, or `NAME` for the value it has here. Raises UsageError."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not name.isascii():
            raise UsageError(
                f"--env: {name!r} is no name of a variable",
                hint="write NAME=VALUE, or NAME for the value it has here",
            )
        if not equals and name not in environ:
            raise UsageError(f"--env: {name} is not set here", hint=f"write {name}=VALUE")
        found[name] = value if equals else environ[name]
    return found


def guarded_paths(given: Iterable[str]) -> tuple[str, ...]:
    """Paths below the workspace. Raises UsageError."""
    from moat.config.guard_schema import guarded_path

    try:
        return tuple(map(guarded_path, given))
    except ValueError as error:
        raise UsageError(
            f"--allow-write: {error}", hint="for example: --allow-write .vscode/tasks.json"
        ) from None


def mounts(
    given: Iterable[str],
    of_project: Iterable[ProjectMount],
    *,
    workspace: Path,
    guarded: Guarded,
) -> tuple[Mount, ...]:
    """Those of options, seen from where they are typed, and the project's. Raises UsageError."""
    asked = [("--mount", _from_here(parse_mount(text))) for text in given]
    asked += [("mounts in moat.yaml", mount) for mount in of_project]
    return resolve_mounts(asked, workspace=workspace, guarded=guarded)


def _from_here(mount: ProjectMount) -> ProjectMount:
    try:
        source = Path.cwd() / Path(mount.source).expanduser()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"--mount: {mount.source} cannot be used: {error}") from None
    return ProjectMount(str(source), mount.target, mount.writable)


def free_name(name: str, runs: Path) -> str:
    """A name that no live run has. Raises UsageError."""
    from moat.config.project_schema import is_run_name

    if not is_run_name(name) or is_run_id(name):
        raise UsageError(
            f"--name: {name!r} is no name: small letters, digits and -, at most 41 characters",
            hint="for example: --name fix-login",
        )
    for record in list_runs(runs):
        if record.name == name and record.state in LIVE:
            raise UsageError(
                f"--name: run {record.run} is called {name}, and goes on",
                hint=f"choose another, or end that one: moat stop {name}",
            )
    return name
