"""What is in guarded places and can be changed from elsewhere: what links lead to, and files that
have further names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_NAMES = 200_000  # that are looked at for those of guarded files
MOST_INSIDE = 10_000  # entries of guarded directories that are looked at


class Inside:
    """Of one workspace. `complete` is False once there was more than is looked at."""

    def __init__(self, place: Path) -> None:
        self.complete = True
        self._place = place
        self._left = MOST_INSIDE
        self._shared: set[tuple[int, int]] = set()

    def links(self, path: str) -> Iterator[str]:
        """The links in a directory, and in those below it; files are looked at, too."""
        waiting = [path]
        while waiting:
            here = waiting.pop()
            status = _status(self._place / here)
            if status is None:
                continue
            if stat.S_ISLNK(status.st_mode) and here != path:
                yield here
            elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                self._shared.add((status.st_dev, status.st_ino))
            elif stat.S_ISDIR(status.st_mode):
                for name in _names(self._place / here):
                    self._left -= 1
                    if self._left < 0:
                        self.complete = False
                        return
                    waiting.append(f"{here}/{name}")

    def other_names(self) -> Iterator[str]:
        """All names in the workspace of the files that were looked at and have several."""
        if not self._shared:
            return
        inodes = {inode for _, inode in self._shared}
        seen = 0
        for above, _, files in os.walk(self._place):
            for name in files:
                seen += 1
                if seen > MOST_NAMES:
                    self.complete = False
                    return
                status = _status(Path(above, name))
                # Gone by now, perhaps: other runs work here.
                if (
                    status
                    and status.st_ino in inodes
                    and (status.st_dev, status.st_ino) in self._shared
                ):
                    yield str(Path(above, name).relative_to(self._place))


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208  # names are all that is needed
    except OSError:
        return []


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
