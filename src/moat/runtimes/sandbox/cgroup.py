"""A control group for a box: the kernel counts what all of its processes use, and stops them.

Where one can be made depends on the machine: version 2 or 1, as root or where a part of the tree
was given to this user, each controller for itself. A box has a group of its own below the one this
process is in, or beside it, so that limits of the machine hold for it too. See the kernel's
`Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, Literal, NamedTuple, TypeAlias

from moat.core.limits import LimitName, Limits

Controller: TypeAlias = Literal["memory", "pids", "cpu"]
Version: TypeAlias = Literal[1, 2]

# Which controller holds which limit.
HOLDS: Final[Mapping[LimitName, Controller]] = {
    "memory": "memory",
    "processes": "pids",
    "cpus": "cpu",
}
_CPU_PERIOD = 100_000  # microseconds, the kernel's own
_END_SECONDS = 2.0
_serial = itertools.count()


class Place(NamedTuple):
    """A directory of the tree in which groups can be made, and the controllers they have."""

    version: Version
    directory: Path
    controllers: frozenset[Controller]


class Hierarchy(NamedTuple):
    """A tree of groups: `own` is the group of this process in it, `top` the highest to be seen."""

    version: Version
    controllers: frozenset[Controller]
    own: Path
    top: Path


def hierarchies(mountinfo: str, membership: str) -> list[Hierarchy]:
    """What `/proc/self/mountinfo` and `/proc/self/cgroup` say there is; it need not be writable."""
    paths: dict[str, str] = {}  # by controller; version 2 has the name ""
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), path)
    found = []
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        root, mounted = map(_unescaped, head.split()[3:5])
        kind, _, options = tail.split(maxsplit=2)
        held = _controllers(options.split(",")) if kind == "cgroup" else frozenset()
        if kind == "cgroup2" and "" in paths:
            path = paths[""]
        elif held and all(name in paths for name in held):
            path = paths[min(held)]
        else:
            continue
        with contextlib.suppress(ValueError):  # a group outside of what is mounted
            below = PurePosixPath(path).relative_to(root)
            if ".." not in below.parts:
                version: Version = 2 if kind == "cgroup2" else 1
                found.append(Hierarchy(version, held, Path(mounted, below), Path(mounted)))
    return found


def _controllers(words: Iterable[str]) -> frozenset[Controller]:
    known: tuple[Controller, ...] = ("memory", "pids", "cpu")
    return frozenset(set(known).intersection(words))


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def find_places(wanted: Collection[Controller]) -> list[Place]:
    """Where groups with some controllers can be made; a controller is in one place at most."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text()
        found = hierarchies(mountinfo, Path("/proc/self/cgroup").read_text())
    except OSError:
        return []
    return places(found, wanted)


def places(found: Iterable[Hierarchy], wanted: Collection[Controller]) -> list[Place]:
    """Those of some hierarchies in which this user can make groups."""
    left = frozenset(wanted)
    made = []
    # Version 2 last: where controllers are in version 1, it has none.
    for hierarchy in sorted(found, key=lambda each: each.version):
        if not left:
            break
        if hierarchy.version == 1:
            held = hierarchy.controllers & left
            place = Place(1, hierarchy.own, held) if held and _writable(hierarchy.own) else None
        else:
            place = _place_of_v2(hierarchy, left)
        if place is not None:
            made.append(place)
            left -= place.controllers
    return made


def _place_of_v2(hierarchy: Hierarchy, wanted: frozenset[Controller]) -> Place | None:
    """The nearest group whose children have controllers. It is not our own, unless that is the
    root: a group that has processes gives no controllers on."""
    best: Place | None = None
    directory = hierarchy.own
    while True:
        # Who moves a process must be able to write to what both groups are below.
        if _writable(directory):
            held = _enabled(directory, wanted)
            if held and (best is None or len(held) > len(best.controllers)):
                best = Place(2, directory, held)
            if held == wanted:
                return best
        if directory == hierarchy.top:
            return best
        directory = directory.parent


def _enabled(directory: Path, wanted: frozenset[Controller]) -> frozenset[Controller]:
    """The controllers that children of a group have, once they were asked for."""
    switch = directory / "cgroup.subtree_control"
    try:
        offered = _controllers((directory / "cgroup.controllers").read_text().split()) & wanted
        enabled = _controllers(switch.read_text().split())
        for name in sorted(offered - enabled):
            with contextlib.suppress(OSError):
                switch.write_text(f"+{name}")
        return _controllers(switch.read_text().split()) & wanted
    except OSError:
        return frozenset()


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


class Group:
    """The groups of one box, one in each place; nothing is in them before something joins.

    Raises OSError where one cannot be made.
    """

    def __init__(self, where: Iterable[Place], limits: Limits, run: str | None) -> None:
        name = f"moat-{run or 'box'}-{os.getpid()}-{next(_serial)}"
        self._leaves: dict[Controller, Path] = {}
        self._versions: dict[Controller, Version] = {}
        try:
            for place in where:
                leaf = place.directory / name
                leaf.mkdir(mode=0o755)
                for controller in sorted(place.controllers):
                    self._leaves[controller] = leaf
                    self._versions[controller] = place.version
                    for file, value, needed in _settings(controller, place.version, limits):
                        _set(leaf / file, value, needed=needed)
        except OSError:
            self.remove()
            raise

    @property
    def held(self) -> dict[LimitName, str]:
        """What each limit that it holds is held by."""
        return {
            limit: f"cgroup v{self._versions[controller]}"
            for limit, controller in HOLDS.items()
            if controller in self._leaves
        }

    @property
    def doors(self) -> list[Path]:
        """The files to which the id of a process is written for it to join."""
        return [leaf / "cgroup.procs" for leaf in sorted(set(self._leaves.values()))]

    def join(self, pid: int) -> None:
        """Put a process into the group; what it starts from then on is in it. Raises OSError."""
        for door in self.doors:
            if pid not in _processes(door):
                door.write_text(str(pid))

    def oom_kills(self) -> int:
        """How many processes of it the kernel has ended for want of memory."""
        if "memory" not in self._leaves:
            return 0
        file = "memory.events" if self._versions["memory"] == 2 else "memory.oom_control"
        return _counter(self._leaves["memory"] / file, "oom_kill")

    def refused(self) -> int:
        """How many processes it could not start."""
        return (
            _counter(self._leaves["pids"] / "pids.events", "max") if "pids" in self._leaves else 0
        )

    def processes(self) -> int | None:
        """How many it has, threads counted; None where that is not known."""
        if "pids" not in self._leaves:
            return None
        try:
            return int((self._leaves["pids"] / "pids.current").read_text())
        except (OSError, ValueError):
            return None

    def kill_all(self) -> None:
        """End every process in it, at once; those that they are just starting, too."""
        end = time.monotonic() + _END_SECONDS
        for door in self.doors:
            _kill_all(door, until=end)

    def remove(self) -> bool:
        """Remove it, when nothing is in it any more; whether that was so."""
        for leaf in set(self._leaves.values()):
            with contextlib.suppress(FileNotFoundError):
                try:
                    leaf.rmdir()
                except OSError:
                    return False
        self._leaves.clear()
        return True


def _settings(
    controller: Controller, version: Version, limits: Limits
) -> Iterator[tuple[str, str, bool]]:
    """What is written where, and whether the limit hangs on it."""
    old = version == 1
    if controller == "memory" and limits.memory is not None:
        yield ("memory.limit_in_bytes" if old else "memory.max"), str(limits.memory), True
        # What is swapped out is used as well. Kernels without swap have no such file.
        swap = ("memory.memsw.limit_in_bytes", str(limits.memory)) if old else _NO_SWAP
        yield *swap, False
        if not old:
            yield "memory.oom.group", "1", False  # all of the box, not some part of it
    elif controller == "pids" and limits.processes is not None:
        yield "pids.max", str(limits.processes), True
    elif controller == "cpu" and limits.cpus is not None:
        quota = max(int(limits.cpus * _CPU_PERIOD), 1000)
        if old:
            yield "cpu.cfs_period_us", str(_CPU_PERIOD), True
            yield "cpu.cfs_quota_us", str(quota), True
        else:
            yield "cpu.max", f"{quota} {_CPU_PERIOD}", True


_NO_SWAP = ("memory.swap.max", "0")


def _set(file: Path, value: str, *, needed: bool) -> None:
    try:
        # Not made where there is none: that would be no file of the kernel's.
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError:
        if needed:
            raise


def _counter(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    words = (line.split() for line in lines)
    return next((int(word[1]) for word in words if len(word) == 2 and word[0] == name), 0)


def _processes(door: Path) -> list[int]:
    return list(map(int, door.read_text().split()))


def _kill_all(door: Path, *, until: float) -> None:
    with contextlib.suppress(OSError):
        _set(door.with_name("cgroup.kill"), "1", needed=True)  # version 2, since Linux 5.14
        return
    with contextlib.suppress(OSError):
        while (found := _processes(door)) and time.monotonic() < until:
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)


_NAME = r"moat-(.+)-([0-9]+)-[0-9]+"


def remove_leftovers(live: Collection[str]) -> int:
    """Remove the groups of runs whose supervisor died; how many there were.

    `live` are the ids of runs that live. A group whose maker lives is left alone in any case: it
    may be that of another directory of Moat's. What is still in one is ended, where it was made
    from a place like ours; elsewhere ids of processes may mean others, and it is let be.
    """
    ours = {place.directory for place in find_places(frozenset(HOLDS.values()))}
    removed = 0
    for group in list(_groups()):
        named = re.fullmatch(_NAME, group.name)
        if not named or named[1] in live or Path("/proc", named[2]).exists():
            continue
        if group.parent in ours:
            _kill_all(group / "cgroup.procs", until=time.monotonic() + _END_SECONDS)
        with contextlib.suppress(OSError):  # something is in it, or it is another user's
            group.rmdir()
            removed += 1
    return removed


def _groups() -> Iterator[Path]:
    """All groups of boxes that can be seen, whichever session they were made from."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text()
        found = hierarchies(mountinfo, Path("/proc/self/cgroup").read_text())
    except OSError:
        return
    for top in {each.top for each in found if each.controllers or each.version == 2}:
        for directory, below, _ in os.walk(top):
            yield from (Path(directory, name) for name in below if name.startswith("moat-"))
