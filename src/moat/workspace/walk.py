"""The files of a workspace that are told of when they change, found by looking at all of it."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from moat.workspace.executed import GIT_KEEPS, why_executed
from moat.workspace.tree import is_closed, mode_of

MOST_ENTRIES = 200_000
MOST_SECONDS = 10.0
GITS = ".git/"  # stands before the paths of what is in a repository's own directory
_STEPS = 512  # entries between two looks at the clock
# What says that one of git's own directories that is called as if nothing in it were obeyed is
# something else, such as the repository of a submodule of that name.
_OBEYED = ("HEAD", "commondir", "config", "hooks", "modules")


class File(NamedTuple):
    """One of them. `moved` says that a directory it is in has changed since, so that it may have
    had another name until then."""

    path: str
    entry: os.DirEntry[str]
    moved: bool


class Walk:
    """The files below a root, `since` a time of the kernel's in nanoseconds; with `own`, the root
    is a repository's own directory. No link is followed.

    `complete` is False once it had to stop, `closed` are the directories of ours that could not be
    looked into, and `links` are those of the files that are links, and obeyed or in a repository's
    own directory.
    """

    def __init__(self, root: Path, ignore: AbstractSet[str], since: int, *, own: bool) -> None:
        self.complete = True
        self.closed: list[str] = []
        self.links: list[str] = []
        self._root = root
        self._ignore = ignore
        self._since = since
        self._own = own

    def __iter__(self) -> Iterator[File]:
        until = time.monotonic() + MOST_SECONDS
        waiting = deque([("", False)])
        seen = 0
        while waiting:
            here, moved = waiting.popleft()
            prefix = here + "/" if here else ""
            place = self._root / here
            try:
                status = place.lstat()
                if is_closed(place, status):
                    self.closed.append(here)
                    continue
                scanned = os.scandir(place)
            except OSError:
                continue  # gone, or another's
            moved = bool(here) and (moved or status.st_ctime_ns >= self._since)
            in_git = self._own or ".git" in here.split("/")
            with scanned:
                for entry in scanned:
                    seen += 1
                    if seen > MOST_ENTRIES or (seen % _STEPS == 0 and time.monotonic() > until):
                        self.complete = False
                        return
                    path = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if not (in_git and self._is_kept(here, entry)):
                            waiting.append((path, moved))
                    elif path not in self._ignore and self._is_told(path, entry, in_git=in_git):
                        yield File(path, entry, moved)

    def _is_kept(self, here: str, entry: os.DirEntry[str]) -> bool:
        """Whether git keeps in a directory of its own what nobody obeys."""
        if entry.name not in GIT_KEEPS:
            return False
        own = here.rpartition("/")[2] == ".git" or mode_of(self._root / here / "HEAD") is not None
        return own and all(mode_of(Path(entry.path, name)) is None for name in _OBEYED)

    def _is_told(self, path: str, entry: os.DirEntry[str], *, in_git: bool) -> bool:
        is_link = entry.is_symlink()
        within = GITS if self._own else ""
        obeyed = (in_git or is_link) and why_executed(within + path) is not None
        if is_link and (obeyed or in_git):
            self.links.append(path)  # whatever of a repository's own is behind it
            return True
        return obeyed or not in_git
