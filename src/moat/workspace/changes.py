"""What a run has changed in its workspace, found by looking at it before and after.

When a file was changed last (ctime) and made (btime) the kernel says, and nobody in a box can set
either. No link is followed, and git is not asked. What git keeps for itself is left out, but for
what programs of the host run or obey.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from moat.workspace.before import Before, is_known
from moat.workspace.born import made_at
from moat.workspace.planted import Executed, executed_of
from moat.workspace.walk import GITS, File

_Kind = Literal["added", "changed", "moved"]


class Changes(NamedTuple):
    """Paths below the workspace, sorted, and absolute ones of what a repository elsewhere has that
    is obeyed. `executed` are those that a program of the host would run or obey: of the added and
    changed ones, and of what may have been moved; what runs without being asked for first. `closed`
    are directories that could not be looked into. `complete` is False where there are some, before
    or after, or the workspace was too large to be looked through."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    executed: tuple[Executed, ...] = ()
    closed: tuple[str, ...] = ()
    complete: bool = True


def changes_since(before: Before) -> Changes:
    """What has changed. Takes a while, so in a thread."""
    since = before.since()
    may_have_moved = cache(before.may_have_moved)  # the box is gone, and nothing moves any more
    walk = before.walk()
    unseen = set(before.inodes)
    found: dict[_Kind, list[str]] = {"added": [], "changed": [], "moved": []}
    made = before.ignored(before.root)
    for listing in walk:
        for file in listing.files:
            if file.path in made:
                continue
            unseen.discard(file.path)
            kind = _kind(file, listing.here, before, since, may_have_moved)
            if kind is not None:
                found[kind].append(file.path)
    made = before.ignored(before.root)  # by runs that have begun meanwhile
    added, changed, moved = (
        sorted(path for path in paths if path not in made) for paths in found.values()
    )
    unlisted = walk.unlisted
    within = GITS if before.own else ""
    every = sorted((*added, *changed, *moved))
    return Changes(
        tuple(added),
        tuple(changed),
        tuple(sorted(path for path in unseen if is_known(path, unlisted))),
        executed_of(before.root, every, walk.links, os.environ, within=within, signs=walk.signs),
        tuple(walk.closed),
        not unlisted and not before.unlisted,
    )


def together(workspace: Changes, elsewhere: Iterable[tuple[Path, Changes]]) -> Changes:
    """The changes of a workspace and of repositories elsewhere, by absolute paths."""
    for root, changes in elsewhere:

        def there(paths: Iterable[str], root: Path = root) -> tuple[str, ...]:
            return tuple(str(root / path) for path in paths)

        workspace = Changes(
            workspace.added + there(changes.added),
            workspace.changed + there(changes.changed),
            workspace.removed + there(changes.removed),
            workspace.executed
            + tuple(one._replace(path=str(root / one.path)) for one in changes.executed),
            workspace.closed + there(changes.closed),
            workspace.complete and changes.complete,
        )
    executed = sorted(workspace.executed, key=lambda one: one.asked)
    return workspace._replace(executed=tuple(executed))


def _kind(
    file: File, here: str, before: Before, since: int, may_have_moved: Callable[[str], bool]
) -> _Kind | None:
    """What has become of a file, or may have: whether it was moved with a directory that it is in,
    its own times do not say."""
    try:
        status = file.entry.stat(follow_symlinks=False)
    except OSError:
        return None  # gone again
    had = before.had(file.path)
    if had is False:
        return "added"
    # One that has taken the place of another has changed it. Compared is what directories list: a
    # file that another one is mounted upon has two inodes.
    if had and before.inodes[file.path] != file.entry.inode():
        return "changed"
    if status.st_ctime_ns >= since:
        return "added" if had is None and _is_new(file.entry.path, since) else "changed"
    moved = here in before.unsure if had else may_have_moved(here)
    return "moved" if moved else None


def _is_new(path: str, since: int) -> bool:
    """Whether a file is new: by when it was made where the file system knows, else by its name."""
    made = made_at(path)
    return True if made is None else made >= since
