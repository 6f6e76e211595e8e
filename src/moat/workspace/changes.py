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
from dataclasses import dataclass
from pathlib import Path

from moat.workspace.executed import why_executed

MOST_ENTRIES = 200_000
MOST_SECONDS = 10.0
_STEPS = 512  # entries between two looks at the clock
_UNREPORTED = ("logs", "objects", "refs")  # of git's own directories: nothing there is obeyed

_COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME = -100, 0x100, 0x800  # linux/fcntl.h, linux/stat.h


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths below the workspace, sorted. `executed` are those of the added and changed ones that a
    program of the host would run or obey, each with why. `complete` is False where the workspace
    was too large to be looked through."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    executed: tuple[tuple[str, str], ...] = ()
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
    told = sorted([*added, *changed])
    return Changes(
        tuple(sorted(added)),
        tuple(sorted(changed)),
        tuple(removed),
        tuple((path, why) for path in told if (why := _why(before.workspace, path)) is not None),
        walk.complete and before.listed,
    )


class _Walk:
    """The files of a workspace, with their paths; `complete` is False once it had to stop."""

    def __init__(self, root: Path, ignore: frozenset[str]) -> None:
        self.complete = True
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
                        if not (in_git and entry.name in _UNREPORTED):
                            waiting.append(path)
                    elif path not in self._ignore and (
                        not in_git or why_executed(path) is not None
                    ):
                        yield path, entry


def _why(workspace: Path, path: str) -> str | None:
    if (why := why_executed(path)) is not None:
        return why
    above, _, name = path.rpartition("/")
    if name != "HEAD" and name != "config":
        return None
    place = workspace / above
    if all((place / other).exists() for other in ("HEAD", "objects", "refs", "config")):
        return "git takes the directory it is in for a repository, and runs what its config names"
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
