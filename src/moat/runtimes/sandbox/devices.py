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

from moat.runtimes.sandbox.namespaces import inside

# What `bwrap --dev` binds.
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero")

_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096  # linux/mount.h
_KEPT = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC  # the same bits in both; locked in the box


def fix_devices(pid: int) -> None:
    """Keep the nodes that are ours as they are, in the box of a process; past its mounts.

    Called while this process has one thread. Raises RuntimeUnavailable.
    """
    ours = [path for path in DEVICES if Path(path).stat().st_uid == os.geteuid()]

    def guard() -> list[int]:
        for path in ours:
            _make_read_only(path)
        return []

    if ours:
        inside(pid, "mnt", guard, failure="the devices of the box cannot be guarded")


def _make_read_only(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | os.statvfs(path).f_flag & _KEPT
    if libc.mount(None, path.encode(), None, ctypes.c_ulong(flags), None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
