"""The files of a workspace that are told of when they change, found by looking at all of it."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from moat.workspace.executed import why_executed
from moat.workspace.kept import below_own, holds_only_gits, not_gits
from moat.workspace.tree import is_closed

MOST_ENTRIES = 200_000
MOST_SECONDS = 10.0
GITS = ".git/"  # stands before the paths of what is in a repository's own directory
_SIGNS = frozenset({".git", "HEAD"})
_AT_A_TIME = 512  # entries between two looks at the clock
_UNSETTLED = 1_000_000_000  # ns in which a change may leave a ctime as it is
_LONGEST = 4096 - 256 - 1  # bytes of a path that any name may follow (PATH_MAX, NAME_MAX)


Clean = dict[str, tuple[int, int, int]]
"""Which directories are, and their device, inode and ctime, by their paths below a root."""


class File(NamedTuple):
    """A file or directory by its path below the root."""

    path: str
    entry: os.DirEntry[str]


class Listing(NamedTuple):
    """Some of what is in a directory, all of which has several: the files that are told of, and the
    directories that are looked into."""

    here: str
    files: list[File]
    directories: list[File]


class Walk:
    """What is below a root; with `own`, that is a repository's own directory. No link is followed.

    `closed` are the directories of ours that cannot be looked into, `links` are those of the files
    that are links, and obeyed or in a repository's own directory, and `signs` the paths of all
    that is called as if git found a repository there. `kept` are the directories where git keeps
    what nobody obeys, which come last, each with its place below the repository's own. `clean` are
    those of them that had nothing else when they were as it says, taken down for the next walk.
    """

    def __init__(self, root: Path, clean: Clean, *, own: bool) -> None:
        self.closed: list[str] = []
        self.links: list[str] = []
        self.signs: list[str] = []
        self.kept: dict[str, str] = {}
        self._root = root
        self._clean = clean
        self._settled = time.time_ns() - _UNSETTLED
        self._own = own
        self._waiting = deque([""])
        self._last = deque[str]()
        self._counts = True  # whether links of directories say how many are in them

    @property
    def unlisted(self) -> frozenset[str]:
        """The directories of which not all has been listed, the root as "". What is in them, and
        below, nobody knows."""
        return frozenset((*self.closed, *self._waiting, *self._last))

    def __iter__(self) -> Iterator[Listing]:
        """Directory by directory, the nearest first; it may end before all are listed."""
        until = time.monotonic() + MOST_SECONDS
        seen = 0
        while waiting := self._waiting or self._last:
            here = waiting[0]
            for scanned in self._scan(here):
                self.signs += (
                    f"{here}/{one.name}" if here else one.name
                    for one in scanned
                    if one.name in _SIGNS
                )
                # What git keeps is no part of the workspace, however much it is.
                entries = not_gits(self.kept.get(here), scanned)
                seen += len(entries)
                if seen > MOST_ENTRIES or time.monotonic() > until:
                    return
                listing = self._sort(here, entries)
                for path, _ in listing.directories:
                    if path in self.kept and here not in self.kept:
                        self._counts &= _counts(self._root / here, len(listing.directories))
                    (self._last if path in self.kept else self._waiting).append(path)
                yield listing
            waiting.popleft()

    def _scan(self, here: str) -> Iterator[list[os.DirEntry[str]]]:
        place = self._root / here
        try:
            if is_too_deep(place) or is_closed(place, status := place.lstat()):
                self.closed.append(here)
                return
            if here in self.kept and self._is_clean(here, place, status):
                return
            with os.scandir(place) as scanned:
                while entries := list(islice(scanned, _AT_A_TIME)):
                    yield entries
        except (FileNotFoundError, NotADirectoryError):
            pass  # gone
        except PermissionError:
            if _is_ours(place):  # it was closed in this moment
                self.closed.append(here)
        except OSError:
            self.closed.append(here)

    def _is_clean(self, here: str, place: Path, status: os.stat_result) -> bool:
        """Whether a directory has nothing but what git keeps: nobody can set its ctime."""
        seen = (status.st_dev, status.st_ino, status.st_ctime_ns)
        if self._clean.get(here) == seen:
            return True
        if not (self._counts and holds_only_gits(self.kept[here], place, status)):
            return False
        if status.st_ctime_ns < self._settled:
            self._clean[here] = seen
        return True

    def _sort(self, here: str, entries: list[os.DirEntry[str]]) -> Listing:
        prefix = here + "/" if here else ""
        in_git = self._own or ".git" in here.split("/")
        kept = self.kept.get(here)
        listing = Listing(here, [], [])
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                below = below_own(self._root, here, entry.name, kept) if in_git else None
                if below is not None:
                    self.kept[path] = below
                listing.directories.append(File(path, entry))
            elif self._is_told(path, entry, in_git=in_git):
                listing.files.append(File(path, entry))
        return listing

    def _is_told(self, path: str, entry: os.DirEntry[str], *, in_git: bool) -> bool:
        is_link = entry.is_symlink()
        within = GITS if self._own else ""
        obeyed = (in_git or is_link) and why_executed(within + path) is not None
        if is_link and (obeyed or in_git):
            self.links.append(path)  # whatever of a repository's own is behind it
            return True
        return obeyed or not in_git or path.rpartition("/")[0] in self.kept


def _counts(place: Path, directories: int) -> bool:
    """Whether the links of a directory say that it has so many others; not every file system's
    do."""
    try:
        return place.lstat().st_nlink == directories + 2
    except OSError:
        return False


def is_too_deep(place: Path) -> bool:
    """Whether the path of something in a directory may be longer than the kernel takes."""
    return len(os.fsencode(place)) > _LONGEST


def _is_ours(place: Path) -> bool:
    try:
        return place.lstat().st_uid == os.geteuid()
    except OSError:
        return False
