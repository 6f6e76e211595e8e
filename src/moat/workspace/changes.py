"""What a run has changed in its workspace, found by looking at it before and after.

When a file was changed last (ctime) and made (btime) the kernel says, and nobody in a box can set
either. No link is followed, and git is not asked. What git keeps for itself is left out, but for
what programs of the host run or obey.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from moat.workspace.executed import GIT_KEEPS, why_executed
from moat.workspace.planted import Executed, executed_of
from moat.workspace.tree import mode_of

MOST_ENTRIES = 200_000
MOST_SECONDS = 10.0
_STEPS = 512  # entries between two looks at the clock
# What says that one of git's own directories that is called as if nothing in it were obeyed is
# something else, such as the repository of a submodule of that name.
_OBEYED = ("HEAD", "commondir", "config", "hooks", "modules")

_COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME = -100, 0x100, 0x800  # linux/fcntl.h, linux/stat.h


class Changes(NamedTuple):
    """Paths below the workspace, sorted. `executed` are those of the added and changed ones that a
    program of the host would run or obey, what runs without being asked for first. `complete` is
    False where the workspace was too large to be looked through."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    executed: tuple[Executed, ...] = ()
    complete: bool = True


class Before:
    """A workspace as it was; made by `begin`."""

    def __init__(self, workspace: Path, ignore: frozenset[str]) -> None:
        self.workspace = workspace
        self.ignore = ignore
        self.started = time.clock_gettime_ns(_COARSE)  # files' own clock
        self._offset = self.started - time.monotonic_ns()
        self.inodes: dict[str, int] = {}
        self.listed = False

    def complete(self) -> None:
        """Take down what there is. Takes a while, so in a thread; changes that are made meanwhile
        are found all the same."""
        walk = _Walk(self.workspace, self.ignore)
        for path, entry in walk:
            self.inodes[path] = entry.inode()
        self.listed = walk.complete

    def since(self) -> int:
        """When it began, by the clock as it is now: it may have been set back."""
        offset = time.clock_gettime_ns(_COARSE) - time.monotonic_ns()
        back = self._offset - offset
        return self.started - back if back > 1_000_000_000 else self.started


def begin(workspace: Path, *, ignore: Iterable[str] = ()) -> Before:
    """Begin to watch a workspace, right before the run; what is made for its guards is ignored."""
    return Before(workspace, frozenset(ignore))


def changes_since(before: Before) -> Changes:
    """What has changed. Takes a while, so in a thread."""
    since = before.since()
    walk = _Walk(before.workspace, before.ignore)
    unseen = dict(before.inodes)
    added: list[str] = []
    changed: list[str] = []
    for path, entry in walk:
        inode = unseen.pop(path, None)
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # gone again
        if status.st_ctime_ns < since and inode in (None, status.st_ino):
            continue
        if stat.S_ISSOCK(status.st_mode) and not stat.S_IMODE(status.st_mode):
            continue  # made for the guards of another run
        (added if _is_new(entry.path, inode, since) else changed).append(path)
    removed = sorted(unseen) if walk.complete else []
    return Changes(
        tuple(sorted(added)),
        tuple(sorted(changed)),
        tuple(removed),
        executed_of(before.workspace, sorted([*added, *changed]), walk.links, os.environ),
        walk.complete and before.listed,
    )


class _Walk:
    """The files of a workspace, with their paths; `complete` is False once it had to stop, and
    `links` are those of them that are links, and obeyed or in a repository's own directory."""

    def __init__(self, root: Path, ignore: frozenset[str]) -> None:
        self.complete = True
        self.links: list[str] = []
        self._root = root
        self._ignore = ignore

    def __iter__(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        until = time.monotonic() + MOST_SECONDS
        waiting = deque([""])
        seen = 0
        while waiting:
            here = waiting.popleft()
            prefix = here + "/" if here else ""
            try:
                scanned = os.scandir(self._root / here)
            except OSError:
                continue  # gone, or closed to us
            in_git = ".git" in here.split("/")
            with scanned:
                for entry in scanned:
                    seen += 1
                    if seen > MOST_ENTRIES or (seen % _STEPS == 0 and time.monotonic() > until):
                        self.complete = False
                        return
                    path = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if not (in_git and self._is_kept(here, entry)):
                            waiting.append(path)
                    elif path not in self._ignore and self._is_told(path, entry, in_git=in_git):
                        yield path, entry

    def _is_kept(self, here: str, entry: os.DirEntry[str]) -> bool:
        """Whether git keeps in a directory of its own what nobody obeys."""
        if entry.name not in GIT_KEEPS:
            return False
        own = here.rpartition("/")[2] == ".git" or mode_of(self._root / here / "HEAD") is not None
        return own and all(mode_of(Path(entry.path, name)) is None for name in _OBEYED)

    def _is_told(self, path: str, entry: os.DirEntry[str], *, in_git: bool) -> bool:
        is_link = entry.is_symlink()
        obeyed = (in_git or is_link) and why_executed(path) is not None
        if is_link and (obeyed or in_git):
            self.links.append(path)  # whatever of a repository's own is behind it
            return True
        return obeyed or not in_git


class _Statx(ctypes.Structure):
    """The first part of struct statx of linux/stat.h."""

    _fields_ = [  # as ctypes wants it
        ("mask", ctypes.c_uint32),
        ("before", ctypes.c_char * 76),
        ("btime_sec", ctypes.c_int64),
        ("btime_nsec", ctypes.c_uint32),
        ("rest", ctypes.c_char * 164),
    ]


def _is_new(path: str, inode: int | None, since: int) -> bool:
    """Whether a file is new: by when it was made where the file system knows, else by its name."""
    if inode is not None:
        return False  # one that has taken the place of another has changed it
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
