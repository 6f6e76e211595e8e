"""Whom the kernel's limit on processes binds."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from moat.core.limits import Limits
from moat.runtimes.sandbox.rlimits import confine, holds_processes

HOST = "         0          0 4294967295\n"
CONTAINER = "         0     100000      65536\n"


@pytest.mark.parametrize(
    ("uid", "uid_map", "release", "holds"),
    [
        (1000, HOST, "6.8.0-generic", True),
        (1000, HOST, "5.14.0", True),
        (1000, HOST, "5.13.19", False),  # it would count all that the person runs
        (0, HOST, "6.8.0", False),  # root is exempt
        (0, CONTAINER, "6.8.0", True),  # this one is root of nothing but its container
        (0, "0 0 1\n", "6.8.0", False),
        (1000, "", "6.8.0", False),
        (1000, HOST, "odd", False),
    ],
)
def test_whom_it_binds(uid: int, uid_map: str, release: str, holds: bool) -> None:
    """Everybody but the machine's root, since the kernel counts each namespace by itself."""
    assert holds is holds_processes(uid=uid, uid_map=uid_map, release=release)


def test_a_limit_is_lowered_and_never_raised() -> None:
    """For what runs, and what it starts."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        soft, hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
        confine(child.pid, Limits(files=1 << 30, processes=64), processes=False)
        assert (soft, hard) == resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
        before = resource.getrlimit(resource.RLIMIT_NPROC)
        assert before == resource.prlimit(child.pid, resource.RLIMIT_NPROC)
        confine(child.pid, Limits(files=100, processes=64), processes=True)
        assert (100, 100) == resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
        assert 64 == resource.prlimit(child.pid, resource.RLIMIT_NPROC)[1]
        assert 500 == int(Path(f"/proc/{child.pid}/oom_score_adj").read_text())
    finally:
        child.kill()
        child.wait()
