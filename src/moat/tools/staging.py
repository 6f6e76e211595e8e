"""Install something exactly once: under a lock, out of sight, put in place by one rename.

Whoever holds the lock is alone, so whatever lies in the work folder then was left by a dead
installer and is swept. The lock is the kernel's (flock): it ends when its holder does, somehow.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moat.errors import ToolError
from moat.tools.archive import sync_directory
from moat.tools.places import check_ours, is_installed
from moat.tools.progress import Progress, megabytes

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Job:
    """Something to be installed."""

    name: str
    """Names the lock and the work folder."""
    label: str
    """What people call it: `codex-cli 1.2.3`."""
    target: Path
    """The directory it will be."""
    needed_bytes: int
    """How much disk it takes while it is being installed, roughly."""
    fill: Callable[[Path], Path]
    """Given a private folder, makes the directory in it that becomes the target."""


def install_once(job: Job, *, tools: Path, progress: Progress) -> Path:
    """Install a thing unless it is installed, alone among all processes; its directory.

    ToolError if it cannot be installed; then, as after any exception, nothing of it is left.
    """
    try:
        work = _prepare(tools)
        with _locked(work / f"{job.name}.lock", job, progress):
            if not is_installed(job.target):
                _install(job, work / job.name)
                progress.say(f"{job.label}: installed")
    except OSError as error:
        raise _explained(error, job, tools) from error
    return job.target


def _install(job: Job, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        made = job.fill(folder)
        _make_directory(job.target.parent)
        made.rename(job.target)
        sync_directory(job.target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(tools: Path) -> Path:
    """The folder of locks and unfinished work, made if need be; UnsafeFile if others may write."""
    work = tools / ".work"
    tools.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_directory(tools)
    _make_directory(work)
    return work


def _make_directory(directory: Path) -> None:
    """A directory others may at most read; UnsafeFile if it is there and they may write to it."""
    try:
        directory.mkdir()
        directory.chmod(0o755)
    except FileExistsError:
        pass
    check_ours(directory, directory.stat())  # of a link, what it leads to


@contextmanager
def _locked(path: Path, job: Job, progress: Progress) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"{job.label}: another moat is installing it; waiting for that to end")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _explained(error: OSError, job: Job, tools: Path) -> ToolError:
    if error.errno in _FULL:
        return ToolError(
            f"{job.label} could not be installed: the disk that holds {tools} is full; "
            f"about {megabytes(job.needed_bytes)} MB are needed there and "
            f"{megabytes(_free_bytes(tools))} MB are free",
            hint="free some space, or set MOAT_HOME to a directory on a larger disk",
        )
    return ToolError(
        f"{job.label} could not be installed below {tools}: {error}",
        hint=f"look at the directory: ls -la {tools}",
    )


def _free_bytes(directory: Path) -> int:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return 0
