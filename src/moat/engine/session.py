"""A run as the proxy sees it: an immutable table, replaced and never edited."""

from __future__ import annotations

from dataclasses import dataclass, field

from moat.core.hosts import Destination
from moat.engine.inject import Injection
from moat.engine.policy import Policy


@dataclass(frozen=True, slots=True)
class RunSession:
    """Everything that decides what becomes of a request of one run.

    `command` is how the person would start this again, for the cure named in a refusal.
    """

    run: str
    policy: Policy = field(default_factory=Policy)
    injections: tuple[Injection, ...] = ()
    command: str = "moat run"

    def injections_for(self, destination: Destination) -> tuple[Injection, ...]:
        """The credentials bound to a destination: at most one a header, the most specific.

        An exact host beats `*.suffix`, a longer suffix a shorter one; between equals the first
        given wins.
        """
        chosen: dict[str, Injection] = {}
        for injection in sorted(self.injections, key=_breadth):
            if injection.applies_to(destination):
                chosen.setdefault(injection.header.lower(), injection)
        return tuple(chosen.values())


def _breadth(injection: Injection) -> tuple[bool, int]:
    return injection.pattern.below, -len(injection.pattern.host)
