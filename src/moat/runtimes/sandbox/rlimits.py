"""Limits the kernel keeps for each process: they need no rights, and hold what they can.

The number of processes is one of them that is counted for a user, and since Linux 5.14 for a user
in each user namespace: every box has one of its own. The machine's own root is exempt.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
from pathlib import Path

from moat.core.limits import Limits

_COUNTS_PER_NAMESPACE = (5, 14)
# Should the machine run out of memory, the processes of a box go before those of the person.
_OOM_SCORE = 500


def holds_processes(*, uid: int, uid_map: str, release: str) -> bool:
    """Whether the limit on processes holds for a box of this user, and counts no others.

    `uid_map` is that of this process, `release` the kernel's.
    """
    version = re.match(r"(\d+)\.(\d+)", release)
    if not version or (int(version[1]), int(version[2])) < _COUNTS_PER_NAMESPACE:
        return False
    for line in uid_map.splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= uid < inside + count:
            return outside + uid - inside != 0
    return False


def holds_processes_here() -> bool:
    """Whether the limit on processes holds for boxes made by this process."""
    try:
        uid_map = Path("/proc/self/uid_map").read_text()
    except OSError:
        return False
    return holds_processes(uid=os.geteuid(), uid_map=uid_map, release=os.uname().release)


def confine(pid: int, limits: Limits, *, processes: bool) -> None:
    """Limit a process of ours and what it starts from then on; `processes` says whether their
    number is limited here too.

    Raises OSError.
    """
    if processes and limits.processes is not None:
        _lower(pid, resource.RLIMIT_NPROC, limits.processes)
    if limits.files is not None:
        _lower(pid, resource.RLIMIT_NOFILE, limits.files)
    with contextlib.suppress(OSError):  # a courtesy to the machine, and no guard
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(_OOM_SCORE))


def _lower(pid: int, which: int, most: int) -> None:
    """Never raises a limit: only some may, and the machine's own has its reasons."""
    soft, hard = resource.prlimit(pid, which)
    hard = most if hard == resource.RLIM_INFINITY else min(most, hard)
    soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    resource.prlimit(pid, which, (soft, hard))
