"""A run as the proxy sees it: an immutable table, replaced and never edited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from moat.core.hosts import Destination
from moat.engine.fields import lower
from moat.engine.inject import Injection, folded
from moat.engine.placeholder import Placeholder, Watched
from moat.engine.policy import Policy

# A client may make up names below a wildcard: more than any run needs, and then all anew.
_MOST_REMEMBERED = 1024

_Key = Destination | tuple[Destination, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Bound:
    """What of a session's injections is bound to one place.

    `injections` are those that are carried out: at most one a place for a secret, the most
    specific, with the strips of all. `grants` are all that are bound, the beaten ones too.
    `agents_own` says that the agent itself speaks to this place, such as to its model.
    """

    injections: tuple[Injection, ...] = ()
    grants: frozenset[str] = frozenset()
    agents_own: bool = False
    taken_out: frozenset[bytes] | None = None
    """The headers that go, where nothing but headers is taken out and put in: the names as
    `engine.fields.lower` writes them."""


@dataclass(frozen=True, slots=True)
class RunSession:
    """Everything that decides what becomes of a request of one run.

    `command` is how the person would start this again, for the cure named in a refusal;
    `placeholders` are all that the box holds.
    """

    run: str
    policy: Policy = field(default_factory=Policy)
    injections: tuple[Injection, ...] = ()
    command: str = "moat run"
    placeholders: tuple[Placeholder, ...] = ()
    watched: Watched = field(init=False, repr=False, compare=False)
    _remembered: dict[_Key, Bound] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _at: dict[str, tuple[str, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _with_paths: tuple[Injection, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_path = tuple(item for item in self.injections if item.path is not None)
        object.__setattr__(self, "_with_paths", by_path)
        object.__setattr__(self, "watched", Watched(self.placeholders))

    def injections_for(
        self, destination: Destination, target: str | None = None
    ) -> tuple[Injection, ...]:
        """The injections of a request, by where it goes and its target (the path; a query is not
        looked at). Without a target none applies that is for some paths only.

        An exact host beats `*.suffix`, a longer suffix a shorter one, then a longer beginning of
        a path a shorter one and none; between equals the first given wins.
        """
        return self.bound(destination, target).injections

    def bound(self, destination: Destination, target: str | None = None) -> Bound:
        """All that is bound to where a request goes; arguments as of `injections_for`."""
        key: _Key = destination
        by_path: tuple[int, ...] = ()
        if target is not None and self._with_paths:
            by_path = tuple(
                number
                for number, item in enumerate(self._with_paths)
                if item.applies_to(destination, target)
            )
            key = (destination, by_path)
        found = self._remembered.get(key)
        if found is None:
            found = self._bind(destination, [self._with_paths[number] for number in by_path])
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def grants_at(self, host: str) -> tuple[str, ...]:
        """The grants whose secrets a host may have been given, at whatever port and path: what it
        was told in one answer it can repeat in another. Sorted."""
        found = self._at.get(host)
        if found is None:
            found = tuple(
                sorted({item.grant for item in self.injections if item.pattern.names(host)})
            )
            if len(self._at) >= _MOST_REMEMBERED:
                self._at.clear()
            self._at[host] = found
        return found

    def _bind(self, destination: Destination, by_path: Sequence[Injection]) -> Bound:
        bound = [
            item for item in self.injections if item.applies_to(destination) or item in by_path
        ]
        agents_own = destination.scheme == "https" and any(
            rule.source == "agent" and rule.pattern.matches(destination)
            for rule in self.policy.rules
        )
        chosen = _chosen(bound)
        return Bound(chosen, frozenset(item.grant for item in bound), agents_own, _headers(chosen))


def _chosen(bound: Iterable[Injection]) -> tuple[Injection, ...]:
    """The injections that are carried out: the most specific of each slot. What any of the
    others strips is stripped as well, less the headers in which a placeholder is to be found."""
    ranked = sorted(bound, key=_breadth)
    winners: dict[tuple[str, str], Injection] = {}
    for item in ranked:
        if item.slot is not None:
            winners.setdefault(item.slot, item)
    looked_into = {folded(item.header) for item in winners.values() if item.kind == "in-header"}
    strips: dict[str, str] = {}
    for name in (name for item in ranked for name in item.strips):
        if folded(name) not in looked_into:
            strips.setdefault(folded(name), name)
    if not ranked:
        return ()
    first, *rest = winners.values() or ranked[:1]
    return (replace(first, strips=tuple(strips.values())), *(replace(i, strips=()) for i in rest))


def _headers(chosen: Sequence[Injection]) -> frozenset[bytes] | None:
    if not all(item.kind in ("set-header", "strip-headers") for item in chosen):
        return None
    return lower(name for item in chosen for name in (*item.strips, *item.names))


def _breadth(injection: Injection) -> tuple[bool, int, int]:
    given = len(injection.path.text.partition("*")[0]) if injection.path else 0
    return injection.pattern.below, -len(injection.pattern.host), -given
