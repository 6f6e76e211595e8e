"""The device nodes of a box are the host's own, and must not be changed from in there.

Bubblewrap binds /dev/null and its like from the host, writable as they must be. When root
started the run, their owner is the agent's user, who could take /dev/null away from the whole
host with one chmod. A read-only mount keeps a node's mode, owner and times, and still lets bytes
through; bubblewrap cannot make one that is a device at the same time.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# What `bwrap --dev` binds.
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero")

_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096  # linux/mount.h
_KEPT = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC  # the same bits in both; locked in the box


def our_devices() -> list[str]:
    """The nodes that are this user's, so that one who is this user in a box could change them."""
    return [path for path in DEVICES if Path(path).stat().st_uid == os.geteuid()]


def make_read_only(path: str) -> None:
    """Keep a node as it is; called in the mount namespace of the box. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | os.statvfs(path).f_flag & _KEPT
    if libc.mount(None, path.encode(), None, ctypes.c_ulong(flags), None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
