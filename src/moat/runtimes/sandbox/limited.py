"""The limits of one box: by control groups where they can be had, by rlimits where not, and what
neither holds is looked after."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from moat.core.limits import Exceeded, LimitName, Limits
from moat.errors import RuntimeUnavailable
from moat.runtimes.descriptors import wait_for_exit
from moat.runtimes.sandbox.cgroup import HOLDS, Group, find_places
from moat.runtimes.sandbox.rlimits import confine, holds_processes_here
from moat.runtimes.sandbox.watch import Closer, Seen, Watch

# Moving a process waits for all processors of the machine, which takes longer than the rest of a
# start. So it is done by another, while bubblewrap makes the box.
_JOIN = 'for door; do echo "$0" >"$door" || exit 1; done 2>/dev/null'


class Limited:
    """Holds a box to its limits.

    In this order: `take` the box's first process while it has no other, `settle` with all there
    are when the box waits at its gate, `ended` when the command has, and `close`.
    """

    def __init__(self, limits: Limits, run: str | None) -> None:
        self._limits = limits
        self._run = run
        self._group: Group | None = None
        self._joining: tuple[int, int] | None = None  # a process, and a hold on it
        self._rlimit = False
        self._watch: Watch | None = None
        self._weighing: asyncio.Future[Seen] | None = None
        self.held: Mapping[LimitName, str] = {}
        """What holds each limit that there is: "cgroup v1", "rlimit", "watched", "tmpfs"."""

    @property
    def exceeded(self) -> Exceeded | None:
        """The limit that ends the box, or has ended it."""
        return self._watch.exceeded if self._watch else None

    @property
    def met(self) -> tuple[Exceeded, ...]:
        """All limits that were met."""
        return self._watch.met if self._watch else ()

    def take(self, init: int) -> None:
        """Make the group of a box, and have its first process join. Raises RuntimeUnavailable."""
        wanted = {
            controller
            for limit, controller in HOLDS.items()
            if getattr(self._limits, limit) is not None
        }
        with contextlib.suppress(OSError):
            if places := find_places(wanted):
                self._group = Group(places, self._limits, self._run)
        if self._group is not None:
            doors = map(str, self._group.doors)
            joining = os.posix_spawn("/bin/sh", ["sh", "-c", _JOIN, str(init), *doors], {})
            self._joining = (joining, os.pidfd_open(joining))

    async def settle(self, init: int) -> None:
        """Hold all processes of a box to its limits, while it waits at its gate.

        Raises RuntimeUnavailable where a limit can be held by nothing here.
        """
        await self._joined()
        held: dict[LimitName, str] = {}
        try:
            processes = (init, *_children(init))
            if self._group is not None:
                try:
                    for pid in processes:
                        self._group.join(pid)
                    held |= self._group.held
                except OSError:  # they may be made here, but nobody moved there
                    self._drop_group()
            self._rlimit = "processes" not in held and holds_processes_here()
            for pid in processes:
                confine(pid, self._limits, processes=self._rlimit)
            watched = self._limits.memory is not None and "memory" not in held
            self._watch = Watch(
                init,
                self._limits,
                self._group,
                memory=watched,
                held="processes" in held or self._rlimit,
            )
        except OSError as error:
            raise RuntimeUnavailable(
                f"the box cannot be held to its limits: {error.strerror}", hint="run: moat doctor"
            ) from None
        rest: dict[LimitName, str] = {
            "memory": "watched",
            "processes": "rlimit" if self._rlimit else "watched",
            "disk": "tmpfs",
            "files": "rlimit",
        }
        held = rest | held
        self.held = {name: how for name, how in held.items() if self._has(name)}
        if self._has("cpus") and "cpus" not in held:
            _refuse_cpus()

    def admit(self, pid: int) -> None:
        """Hold a process to the limits that is to run in the box later; before it runs anything.

        Raises OSError.
        """
        if self._group is not None:
            self._group.join(pid)
        confine(pid, self._limits, processes=self._rlimit)

    async def wait_exceeded(self) -> Exceeded:
        """Wait until a limit was met for which the box should be destroyed."""
        assert self._watch is not None
        while True:
            found = self._watch.look()
            if isinstance(found, Closer):
                found = self._watch.judge(await self._weigh(self._watch, found))
            if found:
                return found
            await asyncio.sleep(self._watch.pause())

    async def _weigh(self, watch: Watch, closer: Closer) -> Seen:
        """Look closer, beside the event loop; who is cancelled leaves the thread to `close`."""
        loop = asyncio.get_running_loop()
        self._weighing = loop.run_in_executor(None, watch.weigh, closer)
        return await asyncio.shield(self._weighing)

    def kill_all(self) -> None:
        """End all that is in the box's group, if it has one."""
        if self._group is not None:
            self._group.kill_all()

    def ended(self, *, failed: bool) -> None:
        """Judge how a box ended."""
        if self._watch is not None:
            self._watch.end(failed=failed)

    async def close(self) -> None:
        """Give back what was held, when all processes of the box are gone."""
        await self._joined()
        if self._watch is not None:
            self._watch.stop()
            if self._weighing is not None:
                await asyncio.wait({self._weighing})  # it reads what is closed now
            self._watch.close()
        self._drop_group()

    async def _joined(self) -> None:
        """Wait for who has the first process join; whether it worked is seen by who is in."""
        if self._joining is not None:
            (pid, pidfd), self._joining = self._joining, None
            try:
                await wait_for_exit(pid, pidfd)
            finally:
                os.close(pidfd)

    def _drop_group(self) -> None:
        if self._group is not None and not self._group.remove():
            self._group.kill_all()
            self._group.remove()
        self._group = None

    def _has(self, name: LimitName) -> bool:
        return getattr(self._limits, name) is not None


def _children(pid: int) -> list[int]:
    """The children of a process that has one thread."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _refuse_cpus() -> NoReturn:
    raise RuntimeUnavailable(
        "nothing on this machine can hold a run to its limit on processors",
        hint="start it with --cpus none; what holds here: moat doctor",
    )
