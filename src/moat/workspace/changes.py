"""What a run has changed in its workspace, found by looking at it before and after.

When a file was changed last (ctime) and made (btime) the kernel says, and nobody in a box can set
either. No link is followed, and git is not asked. What git keeps for itself is left out, but for
what programs of the host run or obey.
"""

from __future__ import annotations

import ctypes
import math
import os
import stat
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal, NamedTuple

from moat.workspace.planted import Executed, executed_of
from moat.workspace.tree import parents
from moat.workspace.walk import GITS, File, Walk

# How long a run waits for what there is to be taken down: of what comes later it may have moved
# something before.
_AT_ONCE = 0.05
_COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME = -100, 0x100, 0x800  # linux/fcntl.h, linux/stat.h


_Kind = Literal["added", "changed", "moved"]


class Changes(NamedTuple):
    """Paths below the workspace, sorted, and absolute ones of what a repository elsewhere has that
    is obeyed. `executed` are those of the added and changed ones that a program of the host would
    run or obey, what runs without being asked for first. `closed` are directories that could not be
    looked into. `complete` is False where there are some, before or after, or the workspace was
    too large to be looked through."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    executed: tuple[Executed, ...] = ()
    closed: tuple[str, ...] = ()
    complete: bool = True


Ignored = Callable[[Path], AbstractSet[str]]
"""What is no change of a run's, below a root, at the moment."""


class Before:
    """A workspace as it was; made by `begin`."""

    def __init__(self, root: Path, ignored: Ignored, *, own: bool) -> None:
        self.root = root
        self.own = own
        self.ignored = ignored
        self.started = time.clock_gettime_ns(_COARSE)  # files' own clock
        self._offset = self.started - time.monotonic_ns()
        self.inodes: dict[str, int] = {}
        self.unsure: set[str] = set()
        self.listed = False
        self._walk = self.walk(self.started)
        self._files = iter(self._walk)
        self._list(_AT_ONCE, late=False)

    def walk(self, since: int) -> Walk:
        """To look at what there is."""
        return Walk(self.root, self.ignored(self.root), since, own=self.own)

    def complete(self) -> None:
        """Take down what there is. Takes a while, so in a thread; changes that are made meanwhile
        are found all the same."""
        self._list(math.inf, late=True)

    def _list(self, seconds: float, *, late: bool) -> None:
        until = time.monotonic() + seconds
        for path, entry, moved in self._files:
            self.inodes[path] = entry.inode()
            if late and moved:
                self.unsure.add(path)
            if time.monotonic() > until:
                return
        self.listed = self._walk.complete and not self._walk.closed

    def since(self) -> int:
        """When it began, by the clock as it is now: it may have been set back."""
        offset = time.clock_gettime_ns(_COARSE) - time.monotonic_ns()
        back = self._offset - offset
        return self.started - back if back > 1_000_000_000 else self.started


def begin(root: Path, *, ignored: Ignored = lambda _: frozenset(), own: bool = False) -> Before:
    """Begin to watch a workspace, right before the run; with `own`, a repository's own directory.
    What is made for its guards is ignored for as long as it is that."""
    return Before(root, ignored, own=own)


def changes_since(before: Before) -> Changes:
    """What has changed. Takes a while, so in a thread."""
    since = before.since()
    walk = before.walk(since)
    unseen = dict(before.inodes)
    found: dict[_Kind, list[str]] = {"added": [], "changed": [], "moved": []}
    for file in walk:
        kind = _kind(file, unseen.pop(file.path, None), before, since)
        if kind is not None:
            found[kind].append(file.path)
    hidden = frozenset(walk.closed)
    removed = [
        path
        for path in unseen
        if walk.complete and "" not in hidden and hidden.isdisjoint(parents(path))
    ]
    every = sorted(path for paths in found.values() for path in paths)
    return Changes(
        tuple(sorted(found["added"])),
        tuple(sorted(found["changed"])),
        tuple(sorted(removed)),
        executed_of(before.root, every, walk.links, os.environ, within=GITS if before.own else ""),
        tuple(walk.closed),
        walk.complete and not walk.closed and before.listed,
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


def _kind(file: File, known: int | None, before: Before, since: int) -> _Kind | None:
    """What has become of a file, or may have: whether it was moved with a directory that it is in,
    its own times do not say."""
    try:
        status = file.entry.stat(follow_symlinks=False)
    except OSError:
        return None  # gone again
    if stat.S_ISSOCK(status.st_mode) and not stat.S_IMODE(status.st_mode):
        return None  # made for the guards of another run
    if known is None and before.listed:
        return "added"
    if status.st_ctime_ns >= since or known not in (None, status.st_ino):
        # One that has taken the place of another has changed it.
        return "added" if known is None and _is_new(file.entry.path, since) else "changed"
    if file.path in before.unsure or (known is None and file.moved):
        return "moved"
    return None


class _Statx(ctypes.Structure):
    """The first part of struct statx of linux/stat.h."""

    _fields_ = [  # as ctypes wants it
        ("mask", ctypes.c_uint32),
        ("before", ctypes.c_char * 76),
        ("btime_sec", ctypes.c_int64),
        ("btime_nsec", ctypes.c_uint32),
        ("rest", ctypes.c_char * 164),
    ]


def _is_new(path: str, since: int) -> bool:
    """Whether a file is new: by when it was made where the file system knows, else by its name."""
    made = _made_at(path)
    return True if made is None else made >= since


def _made_at(path: str) -> int | None:
    result = _Statx()
    try:
        call = ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        return None
    name = ctypes.c_char_p(os.fsencode(path))
    if call(_AT_FDCWD, name, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, ctypes.byref(result)) != 0:
        return None
    if not result.mask & _STATX_BTIME:
        return None
    made: int = result.btime_sec * 1_000_000_000 + result.btime_nsec
    return made
