"""Files of the workspace that the box can read and cannot change: Moat's own settings of a project.

A workspace may be written to by another run while this box is made, so no name is looked up
twice: what was opened is what is mounted, over itself, by descriptor.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

from moat.runtimes.interface import WORKSPACE
from moat.runtimes.sandbox.namespaces import inside

# The same on every architecture: include/uapi/asm-generic/unistd.h.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE = 1
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_T_EMPTY_PATH = 0x04, 0x40
_MOUNT_ATTR_RDONLY = 1


class _MountAttr(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = [  # as ctypes wants it
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def protect(pid: int, names: Iterable[str]) -> None:
    """Make files of the workspace read-only in the box of a process, past its mounts.

    Called while this process has one thread. Raises RuntimeUnavailable.
    """
    files = [f"{WORKSPACE}/{name}" for name in names]

    def guard() -> list[int]:
        for file in files:
            _mount_over_itself(file)
        return []

    if files:
        inside(pid, "mnt", guard, failure="a file of the workspace cannot be guarded")


def _mount_over_itself(path: str) -> None:
    opened = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        raise OSError(f"{path} is no regular file")
    tree = _call(_OPEN_TREE, opened, b"", _AT_EMPTY_PATH | _OPEN_TREE_CLONE)
    wanted = _MountAttr(attr_set=_MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size)
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _call(_MOVE_MOUNT, tree, b"", opened, b"", flags)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
