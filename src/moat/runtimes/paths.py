"""Opening what was judged, and not what has its name by now."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from moat.errors import MoatError


def open_without_links(path: Path) -> int:
    """A descriptor (O_PATH) of a file or directory whose absolute path goes through no link.

    A path is judged before a box is made, and another box may write to a directory on its way:
    what became a link meanwhile leads to where nobody judged. Raises MoatError.
    """
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    current = os.open("/", flags | os.O_DIRECTORY)
    try:
        parts = path.parts[1:]
        for number, part in enumerate(parts, start=1):
            further = os.O_DIRECTORY if number < len(parts) else 0
            below = os.open(part, flags | further, dir_fd=current)
            os.close(current)
            current = below
    except OSError as error:
        os.close(current)
        raise _changed(path, str(error.strerror)) from None
    kind = os.fstat(current).st_mode
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        os.close(current)
        raise _changed(path, "it is no file and no directory any more")
    return current


def _changed(path: Path, how: str) -> MoatError:
    return MoatError(
        f"{path} is not what it was when the run was planned: {how}",
        hint="see what changes it: another run that can write around it?",
    )
