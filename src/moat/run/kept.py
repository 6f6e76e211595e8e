"""Directories of the box's home that outlive a run: one for each workspace, and no other's."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from moat.errors import UsageError
from moat.files import ensure_private_dir

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
# Sessions lie in a directory for each day.
_LOOKED_AT = 1000
_READABLE = 40  # characters of a workspace's own name


class Kept(NamedTuple):
    """A directory of the host's, and where the box sees it, below its home.

    What is in it was written by agents: the host lists it, and follows and runs nothing there.
    """

    source: Path
    target: str


def kept_directories(
    wanted: Mapping[str, str], *, workspace: Path, moat_home: Path
) -> tuple[Kept, ...]:
    """The directories of a workspace, from names below the box's home to names below Moat's."""
    return tuple(
        Kept(moat_home / name / workspace_key(workspace), target) for target, name in wanted.items()
    )


def workspace_key(workspace: Path) -> str:
    """A readable name that no other path has: its last part, and a digest of all of it."""
    digest = hashlib.sha256(str(workspace).encode(errors="surrogateescape")).hexdigest()[:16]
    readable = _UNFIT.sub("-", workspace.name)[:_READABLE].strip("-.") or "workspace"
    return f"{readable}-{digest}"


def ensure_kept(kept: Kept) -> None:
    """Make the directory, or close it again: the box it was in may have changed its mode.

    Raises UnsafeFile for a place that is not ours alone.
    """
    # What is above it is ours alone, so it is not swapped between the look and the change.
    ensure_private_dir(kept.source.parent)
    if kept.source.is_dir() and not kept.source.is_symlink():
        kept.source.chmod(0o700)
    ensure_private_dir(kept.source)


def has_sessions(kept: Iterable[Kept]) -> bool:
    """Whether anything was kept; no link is followed, and no tree to its end."""
    waiting = [item.source for item in kept]
    for _ in range(_LOOKED_AT):
        if not waiting:
            return False
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in itertools.islice(entries, _LOOKED_AT):
                    if not entry.is_dir(follow_symlinks=False):
                        return True
                    waiting.append(Path(entry.path))
        except OSError:  # gone, closed, or a name too long
            continue
    return True


def check_resumable(kept: Iterable[Kept]) -> None:
    """See that there is something to go on with. Raises UsageError.

    An agent asked for its last session makes a new one where there is none, without a word.
    """
    if not has_sessions(kept):
        raise UsageError(
            "there is no session of this workspace to go on with",
            hint="start one: leave out --resume, and see that codex.sync_logs is not false",
        )
