"""Files of the workspace that the box can read and cannot change: what the host would run or obey.

A workspace may be written to by another run while this box is made, so no name is looked up
twice: what was opened is what is mounted, over itself, by descriptor. Only what is mounted upon
stays where it is, so the directories on the way to such a file are mounted upon too.
"""

from __future__ import annotations

import ctypes
import functools
import os
import stat
from collections.abc import Iterable

from moat.files import open_beneath
from moat.runtimes.interface import WORKSPACE, Guard
from moat.runtimes.sandbox.devices import make_read_only, our_devices
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


def protect(pid: int, names: Iterable[str], guards: Iterable[Guard] = ()) -> None:
    """Guard places in the box of a process, past its mounts: the devices, files of the workspace
    by name, which must be regular ones, then whatever else, each behind those it is below.

    Called while this process has one thread. Raises RuntimeUnavailable.
    """
    files = [f"{WORKSPACE}/{name}" for name in names]
    guards = tuple(guards)
    devices = our_devices()

    def work() -> list[int]:
        for device in devices:
            make_read_only(device)
        for file in files:
            _guard_file(file)
        roots: dict[str, int] = {}
        for guard in guards:
            if guard.root not in roots:
                roots[guard.root] = os.open(
                    guard.root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                )
            opened = open_beneath(roots[guard.root], guard.path, os.O_PATH | os.O_NOFOLLOW)
            _mount_over_itself(opened, writable=guard.writable)
            os.close(opened)
        return []

    if devices or files or guards:
        inside(pid, "mnt", work, failure="what the box must not change cannot be guarded")


def _guard_file(path: str) -> None:
    opened = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        raise OSError(f"{path} is no regular file")
    _mount_over_itself(opened, writable=False)


def _mount_over_itself(opened: int, *, writable: bool) -> None:
    tree = _call(_OPEN_TREE, opened, b"", _AT_EMPTY_PATH | _OPEN_TREE_CLONE)
    if not writable:
        wanted = _MountAttr(attr_set=_MOUNT_ATTR_RDONLY)
        size = ctypes.c_size_t(ctypes.sizeof(wanted))
        _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size)
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _call(_MOVE_MOUNT, tree, b"", opened, b"", flags)
    os.close(tree)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _call(number: int, *arguments: object) -> int:
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
