"""A workspace as it was when a run began, to find out later what has changed.

What is taken down before the run can do anything is sure. In a large workspace there is more, and
it is taken down beside the run: of that it is looked at whether something else may have come there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import MappingProxyType

from moat.workspace.standing import Standing
from moat.workspace.tree import parents
from moat.workspace.walk import Clean, Listing, Walk

_AT_ONCE = 0.05  # seconds that a run waits for what there is to be taken down
_COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h

Ignored = Callable[[Path], AbstractSet[str]]
"""What is no change of a run's, below a root, at the moment."""

Held = Mapping[str, int]
"""The inodes of what no run can move, by its path below a root."""

NOTHING_HELD: Held = MappingProxyType({})


class Before:
    """Made by `begin`. `inodes` are those of its files; of the ones in the directories `unsure`,
    nobody can say whether they were elsewhere when the run began."""

    def __init__(self, root: Path, ignored: Ignored, held: Held, *, own: bool) -> None:
        self.root = root
        self.own = own
        self.ignored = ignored
        self.started = time.clock_gettime_ns(_COARSE)  # files' own clock
        self._offset = self.started - time.monotonic_ns()
        self.inodes: dict[str, int] = {}
        self.unsure: set[str] = set()
        self._clean: Clean = {}
        self._standing = Standing(root, held)
        self._walk = self.walk()
        self._listings = iter(self._walk)
        self._list_at_once(time.monotonic() + _AT_ONCE)

    def walk(self) -> Walk:
        """To look at what there is."""
        return Walk(self.root, self._clean, own=self.own)

    def _list_at_once(self, until: float) -> None:
        for listing in self._listings:
            self._take_down(listing)
            for path, entry in listing.directories:
                with contextlib.suppress(OSError):
                    # Not the inode that is listed: another file system may be mounted there.
                    self._standing.add(path, entry.stat(follow_symlinks=False).st_ino)
                if time.monotonic() > until:
                    return
            if time.monotonic() > until or listing.here in self._walk.kept:
                return  # nothing waits for what git keeps, however little it is

    def complete(self) -> None:
        """Take down what there is. Takes a while, so in a thread; changes that are made meanwhile
        are found all the same."""
        for listing in self._listings:
            self._take_down(listing)
            if self._standing.may_have_moved(listing.here, self.started):
                self.unsure.add(listing.here)
        for path in self.ignored(self.root):
            self.inodes.pop(path, None)

    def _take_down(self, listing: Listing) -> None:
        self.inodes.update((path, entry.inode()) for path, entry in listing.files)

    @property
    def unlisted(self) -> frozenset[str]:
        """The directories of which not all was taken down."""
        return self._walk.unlisted

    def had(self, path: str) -> bool | None:
        """Whether a file was there; None where that is not known."""
        if path in self.inodes:
            return True
        return False if is_known(path, self.unlisted) else None

    def may_have_moved(self, here: str) -> bool:
        """Whether a directory may have come to where it is since it began."""
        return self._standing.may_have_moved(here, self.since())

    def since(self) -> int:
        """When it began, by the clock as it is now: it may have been set back."""
        offset = time.clock_gettime_ns(_COARSE) - time.monotonic_ns()
        back = self._offset - offset
        return self.started - back if back > 1_000_000_000 else self.started


def begin(
    root: Path,
    *,
    ignored: Ignored = lambda _: frozenset(),
    held: Held = NOTHING_HELD,
    own: bool = False,
) -> Before:
    """Begin to watch a workspace, right before the run; with `own`, a repository's own directory.
    What is made for its guards is ignored for as long as it is that."""
    return Before(root, ignored, held, own=own)


def is_known(path: str, unlisted: AbstractSet[str]) -> bool:
    """Whether all of the directories that a file is in were listed."""
    return unlisted.isdisjoint(("", *parents(path)))
