"""What else of the host a run sees: `SOURCE:TARGET[:ro|:rw]`, checked before anything is made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from moat.config.project import ProjectMount
from moat.errors import UsageError
from moat.run.workspace import Guarded, why_too_much
from moat.runtimes.interface import HOME, WORKSPACE, Mount

_EXAMPLE = "for example: --mount ~/data:/data (read-only), or --mount ~/cache:/cache:rw"
# Moat's own places in a box, and the system's.
_TAKEN_TREES = tuple(
    PurePosixPath(path)
    for path in (
        WORKSPACE, "/moat", "/opt/moat", f"{HOME}/.codex", "/bin", "/boot", "/dev", "/etc", "/lib",
        "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/run",
    )
)  # fmt: skip


def parse_mount(text: str) -> ProjectMount:
    """Read an option as a person writes it. Raises UsageError."""
    parts = text.split(":")
    mode = parts.pop() if len(parts) > 2 and parts[-1] in ("ro", "rw") else "ro"
    if len(parts) != 2 or not all(parts):
        raise UsageError(f"--mount: {text!r} is not SOURCE:TARGET[:ro|:rw]", hint=_EXAMPLE)
    return ProjectMount(parts[0], parts[1], writable=mode == "rw")


def resolve_mounts(
    asked: Iterable[tuple[str, ProjectMount]], *, workspace: Path, guarded: Guarded
) -> tuple[Mount, ...]:
    """The mounts, each with who asked for it (for errors). Raises UsageError.

    A relative source is seen from the workspace, and must lead out of it.
    """
    mounts: list[Mount] = []
    for who, wanted in asked:
        source = _source(who, wanted, workspace, guarded)
        target = _target(who, wanted.target)
        for other in mounts:
            there = PurePosixPath(other.target)
            if target.is_relative_to(there) or there.is_relative_to(target):
                raise UsageError(
                    f"{who}: {target} and {there} lie upon each other in the box",
                    hint="choose another target",
                )
        mounts.append(Mount(source, str(target), wanted.writable, judged=True))
    return tuple(mounts)


def _source(who: str, wanted: ProjectMount, workspace: Path, guarded: Guarded) -> Path:
    given = wanted.source
    try:
        path = Path(os.path.normpath(workspace / Path(given).expanduser()))
        real = path.resolve(strict=True)
        kind = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{who}: {given!r} cannot be used: {reason}", hint=_EXAMPLE) from None
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        raise UsageError(
            f"{who}: {given!r} is no file and no directory: a socket or a device leads out of "
            "the box"
        )
    if path != real and not path.is_relative_to(workspace):
        # A link can be turned elsewhere by whoever can write there, once it was agreed to.
        raise UsageError(f"{who}: {given!r} leads through a link", hint=f"name the place: {real}")
    if path.is_relative_to(workspace):
        inside = PurePosixPath(WORKSPACE) / path.relative_to(workspace)
        raise UsageError(f"{who}: {given!r} is in the workspace, and so in the box: {inside}")
    if wanted.writable and _is_hidden(path, guarded):
        raise UsageError(
            f"{who}: {path} is refused: what it holds may be run or obeyed on this machine",
            hint="mount it read-only",
        )
    if workspace.is_relative_to(path):
        raise UsageError(f"{who}: the workspace is inside {path}", hint="mount less of it")
    too_much = why_too_much(path, guarded)
    if too_much is not None:
        raise UsageError(
            f"{who}: {path} is refused: {too_much}", hint="copy what the run needs elsewhere"
        )
    return path


def _is_hidden(path: Path, guarded: Guarded) -> bool:
    """Whether this is among a person's settings; what is only a cache is not."""
    for home in (given.resolve() for given in guarded.user_homes):
        if path.is_relative_to(home) and path != home:
            first = path.relative_to(home).parts[0]
            return first.startswith(".") and first != ".cache"
    return False


def _target(who: str, given: str) -> PurePosixPath:
    path = PurePosixPath(given)
    if not path.is_absolute() or ".." in path.parts or "\0" in given:
        raise UsageError(f"{who}: the target {given!r} must be an absolute path", hint=_EXAMPLE)
    path = PurePosixPath("/" + str(path).lstrip("/"))
    for tree in _TAKEN_TREES:
        if path.is_relative_to(tree) or tree.is_relative_to(path):
            raise UsageError(f"{who}: {path} is taken in the box", hint="choose another, as /data")
    return path
