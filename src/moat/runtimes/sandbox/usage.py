"""What the processes of a box use, as the kernel tells it of each.

Counting is quick, but memory that several share counts as often as they are. Weighing counts it
once; for that the kernel goes through all pages of a process, which takes a while where there is
much. So it is done in a thread, and no longer than it must be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from threading import Event
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Counted(NamedTuple):
    """`resident` are bytes in memory by process, shared ones in each."""

    threads: int
    resident: Mapping[str, int]


class Weighed(NamedTuple):
    """Bytes in memory, each once, as far as they were added up.

    `certain` says that nothing was counted twice that one process has handed to another meanwhile:
    one alone has too much. It also says so where nobody could tell in time.
    """

    memory: int
    certain: bool = False


class Usage:
    """Looks at processes through a descriptor of their /proc, which the caller closes."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._stopped = Event()

    def stop(self) -> None:
        """Weigh no more; what is being weighed is left."""
        self._stopped.set()

    def count(self) -> Counted:
        """All threads, and bytes by process."""
        resident: dict[str, int] = {}
        threads = 0
        try:
            names = os.listdir(self._processes)  # noqa: PTH208  # a descriptor
        except OSError:  # all of it is gone
            return Counted(0, resident)
        for name in filter(str.isdigit, names):
            more, resident[name] = self._look_at(name)
            threads += more
        return Counted(threads, resident)

    def weigh(self, resident: Mapping[str, int], limit: int, *, seconds: float) -> Weighed:
        """Whether processes have more than `limit` bytes; exact only where it hangs on that.

        The largest are looked at first: mostly that settles it, either way. Who makes it take
        longer than so many seconds has too much.
        """
        until = time.monotonic() + seconds
        total, rest = 0, sum(resident.values())
        largest = sorted(resident.items(), key=lambda item: item[1], reverse=True)
        for number, (name, bytes_in) in enumerate(largest):
            if total + rest <= limit or self._stopped.is_set():
                return Weighed(min(total + rest, limit))
            if number and time.monotonic() > until:
                return Weighed(total + rest, certain=True)
            rest -= bytes_in
            share = self._share(name, bytes_in)
            total += share
            if share > limit:
                return Weighed(total, certain=True)
            if total > limit:
                break
        return Weighed(total)

    def _share(self, name: str, resident: int) -> int:
        """Bytes of a process, shared ones in part. What it hides of itself counts in full."""
        lines = (line.split() for line in self._read(f"{name}/smaps_rollup").splitlines())
        shares = [int(words[1]) * 1024 for words in lines if words[0] in (b"Pss:", b"SwapPss:")]
        # One that hides it is still there; one that has ended has nothing any more.
        return sum(shares) if shares else min(resident, self._look_at(name)[1])

    def _look_at(self, name: str) -> tuple[int, int]:
        """Threads of a process, and its bytes in memory; of one that is gone, nothing."""
        # After the name of the program, which may hold anything: proc_pid_stat(5), from 3 on.
        fields = self._read(f"{name}/stat").rpartition(b")")[2].split()
        return (int(fields[17]), int(fields[21]) * _PAGE) if len(fields) > 21 else (0, 0)

    def _read(self, path: str) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)
        except OSError:
            return b""
        try:
            return os.read(descriptor, 16_384)
        except OSError:
            return b""
        finally:
            os.close(descriptor)
