"""Whether a directory still stands where it stood when a run began.

What is in one that was renamed is obeyed under other names, and is no younger for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from moat.workspace.tree import parents


class Standing:
    """Of the directories below a root; `sure` are the inodes of those that are known to have stood
    where they are then: the root itself, what was seen before a run could do anything, and what no
    run can move."""

    def __init__(self, root: Path, sure: Mapping[str, int]) -> None:
        self._root = root
        self._sure = dict(sure)
        try:
            self._sure[""] = root.lstat().st_ino
        except OSError:
            pass  # then there is nothing below it either

    def add(self, path: str, inode: int) -> None:
        """Let one be known to stand where it is."""
        self._sure[path] = inode

    def may_have_moved(self, path: str, since: int) -> bool:
        """Whether what a path led to before now may have come there after a time of the kernel's,
        in nanoseconds: the directory, or one above it.

        What is renamed has changed then (its ctime is set, and nobody in a box can set it back),
        and so has the directory that it has come to. The upper one is looked at behind the lower
        one: otherwise something might come there in between.
        """
        changed = False
        for place in (path, *reversed(tuple(parents(path))), "") if path else ("",):
            try:
                status = (self._root / place).lstat()
            except OSError:
                return True
            if changed and status.st_ctime_ns >= since:
                return True
            if place in self._sure:
                return self._sure[place] != status.st_ino
            changed = status.st_ctime_ns >= since
        return False
