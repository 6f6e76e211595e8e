"""When a file was made (btime), where the file system knows: nobody can set that."""

from __future__ import annotations

import ctypes
import os

_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME = -100, 0x100, 0x800  # linux/fcntl.h, linux/stat.h


class _Statx(ctypes.Structure):
    """The first part of struct statx of linux/stat.h."""

    _fields_ = [  # as ctypes wants it
        ("mask", ctypes.c_uint32),
        ("before", ctypes.c_char * 76),
        ("btime_sec", ctypes.c_int64),
        ("btime_nsec", ctypes.c_uint32),
        ("rest", ctypes.c_char * 164),
    ]


def made_at(path: str) -> int | None:
    """In nanoseconds since the epoch; None where that is not known."""
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
