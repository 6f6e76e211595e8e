"""Looking at processes of the host, the box's among them, from outside."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path


def cmdline(pid: int) -> bytes:
    """The arguments of a process, each ended by NUL; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def every_process() -> list[int]:
    """The ids of all processes there are."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not just its exit code waiting to be fetched."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def processes_with(token: str) -> list[int]:
    """Those with a word in their arguments that holds the token."""
    return [pid for pid in every_process() if token.encode() in cmdline(pid)]


def children(pid: int) -> list[int]:
    """The children of a process."""
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Everything below a process."""
    return [below for child in children(pid) for below in (child, *descendants(child))]


def wait_until(true: Callable[[], object], *, seconds: float = 10, what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s, but not yet: {what}"
        time.sleep(0.01)


def wait_gone(token: str, *, seconds: float = 5) -> None:
    """Wait until no process has the token in its arguments."""
    wait_until(lambda: not processes_with(token), seconds=seconds, what=f"{token} is in no process")


def memory_of(pid: int) -> bytes:
    """All readable memory of a process, one part after the other."""
    parts = []
    process = Path(f"/proc/{pid}")
    with (process / "maps").open("rb") as maps, (process / "mem").open("rb", 0) as memory:
        for start, end in re.findall(rb"^(\w+)-(\w+) r", maps.read(), re.MULTILINE):
            try:
                memory.seek(int(start, 16))
                parts.append(memory.read(int(end, 16) - int(start, 16)))
            except (OSError, OverflowError):  # [vvar] and the like
                continue
    return b"\0".join(parts)
