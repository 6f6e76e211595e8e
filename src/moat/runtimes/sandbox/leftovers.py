"""Ends what bubblewrap leaves behind when it is killed while it makes a box.

Its second process waits for it then, and would for ever. Nothing of a box runs in it yet, and no
name on its command line says whose it is; but it holds the files that the box was to be made of.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Collection
from pathlib import Path

# See spawn.memory_file.
_OURS = re.compile(r"/memfd:moat-([a-z0-9]+)-seccomp \(deleted\)")


def end_leftovers(lost: Collection[str]) -> int:
    """End the processes that were to become boxes of these runs, whose supervisors died; how many
    there were."""
    ended = 0
    if not lost:
        return ended
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _is_bubblewrap(process):
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                held = os.pidfd_open(int(process.name))
                try:
                    if _run_of(process) in lost:
                        signal.pidfd_send_signal(held, signal.SIGKILL)
                        ended += 1
                finally:
                    os.close(held)
    return ended


def _is_bubblewrap(process: Path) -> bool:
    try:
        return (process / "cmdline").read_bytes().startswith(b"bwrap\0")
    except OSError:
        return False


def _run_of(process: Path) -> str | None:
    """The run whose box a process makes. Raises OSError."""
    descriptors = process / "fd"
    for name in os.listdir(descriptors):  # noqa: PTH208  # numbers, not paths
        if found := _OURS.fullmatch(str((descriptors / name).readlink())):
            return found[1]
    return None
