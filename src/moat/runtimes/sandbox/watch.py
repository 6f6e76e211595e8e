"""Looking after a box: what it uses, and whether that ends it.

Where the kernel holds a limit, its counters say that it was met; where it does not, the processes
of the box are looked at, the more often the less is left. What is seen is judged by `Judge`, which
is pure: a limit that was met once is told, one that stays met ends the box.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from moat.core.limits import Exceeded, LimitName, Limits, exceeded
from moat.runtimes.sandbox.cgroup import Group
from moat.runtimes.sandbox.usage import Usage

# The file systems of a box that lie in memory.
PRIVATE = ("tmp", "var/tmp", "run", "home", "dev/shm")
# Processes that the kernel counts for a box and nobody sees in it: those that make it.
_UNSEEN = 2
# How long a limit must stay met before the box is ended for it: a program may make room.
_LASTING = 1.5
# How long before the end it must have been met to be what ended the box.
_LATELY = 2.0
_PAUSE, _SHORTEST, _LONGEST = 0.5, 0.02, 1.0
# The fastest that a box could use up what is left, by one look to the next.
_BYTES_A_SECOND, _PROCESSES_A_SECOND = 4 << 30, 20_000
_SHARE = 20  # a look may take one part in so many of the time
_WEIGHING = 5.0  # seconds a closer look at memory may take; who has it take longer has too much


class Seen(NamedTuple):
    """What one look at a box saw.

    `at` is a time in seconds; `oom_kills` and `refused` (processes that could not be started)
    count from the box's start; `processes` counts threads, None where nobody counts; `memory` in
    bytes, None where the kernel holds it; `disk` are bytes in its private file systems.
    `certain` says that memory need not be looked at again to be over its limit.
    """

    at: float
    oom_kills: int = 0
    refused: int = 0
    processes: int | None = None
    memory: int | None = None
    disk: int = 0
    certain: bool = False


class Closer(NamedTuple):
    """What a closer look at memory is taken with."""

    seen: Seen
    resident: Mapping[str, int]


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
            found["memory"] = bool(seen.oom_kills) or seen.certain or "memory" in self._since
        more_refused, self._refused = seen.refused > self._refused, seen.refused
        if limits.processes is not None:
            if not self._held and _beyond(seen.processes, limits.processes):
                found["processes"] = True
            elif more_refused or _nearly(seen.processes, limits.processes, less=_UNSEEN):
                found["processes"] = False
        if limits.disk is not None and _nearly(seen.disk, limits.disk):
            found["disk"] = seen.disk > limits.disk
        return found


def _beyond(amount: int | None, limit: int | None) -> bool:
    return amount is not None and limit is not None and amount > limit


def _nearly(amount: int | None, limit: int, *, less: int = 0) -> bool:
    """Whether so little is left that nothing can be done with it."""
    return amount is not None and amount >= limit - max(limit // 64, less)


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
            self._usage = Usage(self._directory(f"/proc/{init}/root/proc", os.O_RDONLY))
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

    def look(self) -> Exceeded | Closer | None:
        """Take a look; the limit that ends the box, once there is one.

        Where memory may be over its limit, if none of it is shared, it says what a closer look
        needs: that is taken by `weigh`, and judged by `judge`.
        """
        began = time.monotonic()
        seen, resident = self._see(began)
        if _beyond(seen.memory, self._limits.memory):
            return Closer(seen, resident)
        return self.judge(seen)

    def weigh(self, closer: Closer, *, seconds: float = _WEIGHING) -> Seen:
        """Take a closer look, in a thread: a box may have it take so many seconds, or more."""
        seen, limit = closer.seen, self._limits.memory
        assert limit is not None
        weighed = self._usage.weigh(closer.resident, limit - seen.disk, seconds=seconds)
        return seen._replace(memory=weighed.memory + seen.disk, certain=weighed.certain)

    def judge(self, seen: Seen) -> Exceeded | None:
        """Take what was seen into account; the limit that ends the box, once there is one."""
        self._last = seen
        self._took = time.monotonic() - seen.at
        return self._judge.judge(seen)

    def end(self, *, failed: bool) -> None:
        """Take the last look, when the box has ended, and judge its end."""
        if self._judge.exceeded is None:
            seen, _ = self._see(time.monotonic())
            # Of memory there is left what lies there as files.
            self.judge(seen._replace(memory=seen.disk if self._memory else None))
            self._judge.end(time.monotonic(), failed=failed)

    def stop(self) -> None:
        """Look no closer."""
        self._usage.stop()

    def pause(self) -> float:
        """How many seconds may pass before the next look."""
        seen, limits = self._last, self._limits
        if seen is None or _beyond(seen.memory, limits.memory):
            return _SHORTEST
        pause = _PAUSE
        if seen.memory is not None and limits.memory is not None:
            pause = min(pause, (limits.memory - seen.memory) / _BYTES_A_SECOND)
        if self._group is None and seen.processes is not None and limits.processes is not None:
            pause = min(pause, (limits.processes - seen.processes) / _PROCESSES_A_SECOND)
        if limits.disk is not None and self._memory:
            pause = min(pause, (limits.disk - seen.disk) / _BYTES_A_SECOND)
        return max(pause, _SHORTEST, min(self._took * _SHARE, _LONGEST))

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

    def _see(self, at: float) -> tuple[Seen, dict[str, int]]:
        disk = sum(map(_used, self._private))
        group, limits = self._group, self._limits
        processes = group.processes() if group else None
        memory, resident = None, dict[str, int]()
        if self._memory or (processes is None and limits.processes is not None):
            counted = self._usage.count()
            processes = counted.threads if processes is None else processes
            if self._memory:
                resident.update(counted.resident)
                memory = sum(resident.values()) + disk
        seen = Seen(
            at,
            oom_kills=group.oom_kills() if group else 0,
            refused=group.refused() if group else 0,
            processes=processes,
            memory=memory,
            disk=disk,
        )
        return seen, resident


def _used(directory: int) -> int:
    try:
        found = os.fstatvfs(directory)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize
