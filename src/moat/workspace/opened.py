"""Directories of a workspace, opened one by one through no link, to make or remove things in."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from moat.files import open_beneath
from moat.workspace.tree import parents


class Parents:
    """The directories that things are in, below a root and through no link, each opened once.

    With `ours`, those that belong to us and are closed to us (a box may have changed their modes)
    are opened for as long as this lasts.
    """

    def __init__(self, root: Path, stack: contextlib.ExitStack, *, ours: bool = False) -> None:
        self._stack = stack
        self._ours = ours
        self._open: dict[str, int] = {}
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._keep("", os.open(root, flags))

    def of(self, path: str) -> tuple[int, str]:
        """The directory of something, and its name in there."""
        above, _, name = path.rpartition("/")
        for place in (*parents(above), *((above,) if above else ())):
            if place not in self._open:
                parent, _, last = place.rpartition("/")
                flags = os.O_PATH | os.O_DIRECTORY
                self._keep(place, open_beneath(self._open[parent], last, flags))
        return self._open[above], name

    def _keep(self, place: str, descriptor: int) -> None:
        self._stack.callback(os.close, descriptor)
        self._open[place] = descriptor
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode)
        if self._ours and mode & 0o300 != 0o300 and status.st_uid == os.geteuid():
            # This names what was opened, and nothing that has taken its place.
            by_descriptor = f"/proc/self/fd/{descriptor}"
            with contextlib.suppress(OSError):
                os.chmod(by_descriptor, mode | 0o300)  # noqa: PTH101  # no path of anything's
                self._stack.callback(_chmod, by_descriptor, mode)


def _chmod(path: str, mode: int) -> None:
    with contextlib.suppress(OSError):
        os.chmod(path, mode)  # noqa: PTH101  # no path of anything's
