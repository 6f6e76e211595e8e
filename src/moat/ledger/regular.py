"""Reading what was written down of a run, whatever stands in its place.

A file may be gone, be another kind of file, or hold anything: nothing of that may keep a reader
waiting, or take it along.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

# The last moment that a date can name, in seconds since the epoch: the end of the year 9999.
_LAST_MOMENT = 253_402_300_799


def open_regular(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Open a regular file for reading. Raises OSError, also for anything else than one."""
    # Without O_NONBLOCK a FIFO would keep us until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(descriptor, path)
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(descriptor: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def read_regular(path: Path, *, most: int) -> bytes:
    """The bytes of a regular file. Raises OSError, also for one of more than `most` bytes."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def parse_json(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for one that is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def moment(value: object) -> float:
    """A number as seconds since the epoch that a date can name. Raises TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("it is no number")
    if not 0 <= value <= _LAST_MOMENT:
        raise ValueError("there is no such time")
    return float(value)
