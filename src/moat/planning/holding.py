"""Whether this machine can hold a run to its limits, seen before there is a run."""

from __future__ import annotations

from moat.core.limits import Limits
from moat.errors import UsageError
from moat.runtimes.sandbox.cgroup import HOLDS, find_places


def check_processors(limits: Limits) -> None:
    """See that something can hold a limit on processors: all others are held in one way or another.

    That something can is known for certain only when a box is made. Raises UsageError.
    """
    wanted = {held for name, held in HOLDS.items() if getattr(limits, name) is not None}
    if not any(HOLDS["cpus"] in place.controllers for place in find_places(wanted)):
        raise UsageError(
            "nothing on this machine can hold a run to a limit on processors (--cpus, limits.cpus)",
            hint="what holds here: moat doctor; to start it without: --cpus none",
        )
