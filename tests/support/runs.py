"""Runs that live on without their command lines, and what is left of them when they do not."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moat.run.record import RunDirectory
from support.cli import Cli
from support.processes import descendants, is_alive, wait_until

_PR_SET_CHILD_SUBREAPER = 36


def supervisors_of(cli: Cli) -> list[int]:
    """The processes that supervise runs of a home."""
    runs = cli.home / "runs"
    found = [RunDirectory(runs, lock.parent.name).supervisor() for lock in runs.glob("*/lock")]
    return [supervisor.pid for supervisor in found if supervisor is not None]


@contextmanager
def ending_all(cli: Cli) -> Iterator[None]:
    """What still lives of a home's runs at the end is killed."""
    try:
        yield
    finally:
        for pid in supervisors_of(cli):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not supervisors_of(cli), what="no supervisor is left")


def start_in_background(cli: Cli, *words: str, options: tuple[str, ...] = ()) -> str:
    """Start a run, and leave it; its id."""
    done = cli.run("run", "-d", *options, "--", *words)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


@contextmanager
def inheriting() -> Iterator[None]:
    """Whoever is orphaned below us becomes ours, so that nobody escapes being seen."""
    ours = os.getpid()
    before = set(descendants(ours))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        for pid in set(descendants(ours)) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def orphans(known: set[int]) -> list[int]:
    """Those below us that live, and are not among the known."""
    return [pid for pid in descendants(os.getpid()) if pid not in known and is_alive(pid)]


def inodes(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """All there is below a directory: its number, kind, size and when it was changed."""
    found = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        found[str(path.relative_to(directory))] = (
            status.st_ino,
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
        )
    # SQLite's readers note there where they are; it holds nothing that was recorded.
    return {name: facts for name, facts in found.items() if not name.endswith(".db-shm")}
