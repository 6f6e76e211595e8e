"""Looking after a box: what it uses, and whether that ends it.

Where the kernel holds a limit, its counters say that it was met; where it does not, the processes
of the box are looked at, the more often the less is left. What is seen is judged by `Judge`, which
is pure: a limit that was met once is told, one that stays met ends the box.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple

from moat.core.limits import Exceeded, LimitName, Limits, exceeded
from moat.runtimes.sandbox.cgroup import Group

# The file systems of a box that lie in memory.
PRIVATE = ("tmp", "var/tmp", "run", "home", "dev/shm")
# How long a limit must stay met before the box is ended for it: a program may make room.
_LASTING = 1.5
# How long before the end it must have been met to be what ended the box.
_LATELY = 2.0
_PAUSE, _SHORTEST = 0.5, 0.02
# The fastest that a box could use up what is left, by one look to the next.
_BYTES_A_SECOND, _PROCESSES_A_SECOND = 4 << 30, 20_000
_SHARE = 20  # a look may take one part in so many of the time
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Seen(NamedTuple):
    """What one look at a box saw.

    `at` is a time in seconds; `oom_kills` and `refused` (processes that could not be started)
    count from the box's start; `processes` counts threads, None where nobody counts; `memory` in
    bytes, None where the kernel holds it; `disk` are bytes in its private file systems.
    """

    at: float
    oom_kills: int = 0
    refused: int = 0
    processes: int | None = None
    memory: int | None = None
    disk: int = 0


class Judge:
    """Says which limits were met, and which of them ends the box.

    `held` says that the kernel starts no process beyond the limit.
    """

    def __init__(self, limits: Limits, *, held: bool) -> None:
        self._limits = limits
        self._held = held
        self._refused = 0
        self._since: dict[LimitName, float] = {}  # met from then on, without a break
        self._last: dict[LimitName, float] = {}
        self.met: dict[LimitName, Exceeded] = {}
        self.exceeded: Exceeded | None = None

    def judge(self, seen: Seen) -> Exceeded | None:
        """Take one look into account; the limit that ends the box, once there is one."""
        at_once = self._meets(seen)
        for name in ("memory", "processes", "disk"):
            limit: LimitName = name
            if limit not in at_once:
                self._since.pop(limit, None)
                continue
            self.met[limit] = exceeded(limit, self._limits)
            self._last[limit] = seen.at
            since = self._since.setdefault(limit, seen.at)
            if at_once[limit] or seen.at - since >= _LASTING:
                self.exceeded = self.exceeded or self.met[limit]
        return self.exceeded

    def end(self, at: float, *, failed: bool) -> None:
        """The box has ended: what it met just before is why, unless it ended well."""
        if self.exceeded is None and failed:
            lately = [name for name, when in self._last.items() if at - when <= _LATELY]
            self.exceeded = next((self.met[name] for name in lately), None)

    def _meets(self, seen: Seen) -> dict[LimitName, bool]:
        """The limits that are met now, and whether that is enough to end the box."""
        limits, found = self._limits, dict[LimitName, bool]()
        if seen.oom_kills or _beyond(seen.memory, limits.memory):
            # What is looked at one after the other may change meanwhile, so it is looked at twice.
            found["memory"] = bool(seen.oom_kills) or "memory" in self._since
        more_refused, self._refused = seen.refused > self._refused, seen.refused
        if limits.processes is not None:
            if not self._held and _beyond(seen.processes, limits.processes):
                found["processes"] = True
            elif more_refused or _nearly(seen.processes, limits.processes):
                found["processes"] = False
        if limits.disk is not None and _nearly(seen.disk, limits.disk):
            found["disk"] = seen.disk > limits.disk
        return found


def _beyond(amount: int | None, limit: int | None) -> bool:
    return amount is not None and limit is not None and amount > limit


def _nearly(amount: int | None, limit: int) -> bool:
    """Whether so little is left that nothing can be done with it."""
    return amount is not None and amount >= limit - limit // 64


class Watch:
    """Looks after one box, through descriptors that were opened while it waited at its gate.

    `init` is the id of its first process. Raises OSError when the box is gone.
    """

    def __init__(
        self, init: int, limits: Limits, group: Group | None, *, memory: bool, held: bool
    ) -> None:
        self._limits = limits
        self._group = group
        self._memory = memory  # to be watched here
        self._judge = Judge(limits, held=held)
        self._last: Seen | None = None
        self._took = 0.0
        self._open = contextlib.ExitStack()
        try:
            self._processes = self._directory(f"/proc/{init}/root/proc", os.O_RDONLY)
            self._private = self._file_systems(init)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Look no more."""
        self._open.close()

    @property
    def exceeded(self) -> Exceeded | None:
        """The limit that ends the box, or has ended it."""
        return self._judge.exceeded

    @property
    def met(self) -> tuple[Exceeded, ...]:
        """All limits that were met."""
        return tuple(self._judge.met.values())

    def look(self) -> Exceeded | None:
        """Take a look; the limit that ends the box, once there is one."""
        began = time.monotonic()
        self._last = seen = self._see(began)
        self._took = time.monotonic() - began
        return self._judge.judge(seen)

    def end(self, *, failed: bool) -> None:
        """Take the last look, when the box has ended, and judge its end."""
        if self._judge.exceeded is None:
            self.look()
            self._judge.end(time.monotonic(), failed=failed)

    def pause(self) -> float:
        """How many seconds may pass before the next look."""
        seen, limits = self._last, self._limits
        if seen is None:
            return _SHORTEST
        pause = _PAUSE
        if seen.memory is not None and limits.memory is not None:
            pause = min(pause, (limits.memory - seen.memory) / _BYTES_A_SECOND)
        if self._group is None and seen.processes is not None and limits.processes is not None:
            pause = min(pause, (limits.processes - seen.processes) / _PROCESSES_A_SECOND)
        if limits.disk is not None and self._memory:
            pause = min(pause, (limits.disk - seen.disk) / _BYTES_A_SECOND)
        return max(pause, _SHORTEST, self._took * _SHARE)

    def _directory(self, path: str, flags: int) -> int:
        flags |= os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        self._open.callback(os.close, descriptor)
        return descriptor

    def _file_systems(self, init: int) -> tuple[int, ...]:
        """One descriptor for each private file system."""
        found: dict[int, int] = {}
        for name in PRIVATE:
            descriptor = self._directory(f"/proc/{init}/root/{name}", os.O_PATH)
            found.setdefault(os.fstat(descriptor).st_dev, descriptor)
        return tuple(found.values())

    def _see(self, at: float) -> Seen:
        disk = sum(map(_used, self._private))
        group, limits = self._group, self._limits
        counted = group.processes() if group else None
        memory = None
        if self._memory or (counted is None and limits.processes is not None):
            resident, counted_here, pids = self._count()
            counted = counted_here if counted is None else counted
            memory = resident + disk if self._memory else None
            if _beyond(memory, limits.memory):
                memory = self._proportional(pids) + disk
        return Seen(
            at,
            oom_kills=group.oom_kills() if group else 0,
            refused=group.refused() if group else 0,
            processes=counted,
            memory=memory,
            disk=disk,
        )

    def _count(self) -> tuple[int, int, dict[str, int]]:
        """Bytes in memory, shared ones as often as they are; threads; bytes by process."""
        pids: dict[str, int] = {}
        threads = 0
        try:
            names = os.listdir(self._processes)  # noqa: PTH208  # a descriptor
        except OSError:  # all of it is gone
            return 0, 0, pids
        for name in filter(str.isdigit, names):
            more, pids[name] = self._look_at(name)
            threads += more
        return sum(pids.values()), threads, pids

    def _look_at(self, name: str) -> tuple[int, int]:
        """Threads of a process, and its bytes in memory; of one that is gone, nothing."""
        # After the name of the program, which may hold anything: proc_pid_stat(5), from 3 on.
        fields = self._read(f"{name}/stat").rpartition(b")")[2].split()
        return (int(fields[17]), int(fields[21]) * _PAGE) if len(fields) > 21 else (0, 0)

    def _proportional(self, pids: dict[str, int]) -> int:
        """Bytes in memory, each once. What a process hides of itself counts in full."""
        total = 0
        for name, resident in pids.items():
            lines = (line.split() for line in self._read(f"{name}/smaps_rollup").splitlines())
            shares = [int(words[1]) * 1024 for words in lines if words[0] in (b"Pss:", b"SwapPss:")]
            # One that hides it is still there; one that has ended has nothing any more.
            total += sum(shares) if shares else min(resident, self._look_at(name)[1])
        return total

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


def _used(directory: int) -> int:
    try:
        found = os.fstatvfs(directory)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize
