"""What waits for the person's word, and what that word does to the policy of a run. Pure.

Requests to one destination are one question. It shows the oldest of them, whose number is the
question's: who answers "once" lets through the very request that was shown, and nothing that came
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from moat.core import redact
from moat.core.addresses import is_public
from moat.core.hosts import Destination, HostPattern, format_host_port, is_address
from moat.engine.messages import Request
from moat.engine.rules import Action, Rule, host_rule

Extent = Literal["once", "run", "always"]

# What one run may keep waiting: a hostile one must not bury the person in questions.
MAX_WAITING = 64
MAX_QUESTIONS = 16
# Permissions for one request that nobody has come to use yet.
MAX_ONCE = 32


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided for a run: `by` says who, as in "moat allow"."""

    rule: Rule
    extent: Extent
    by: str

    @classmethod
    def about(cls, host: str, action: Action, extent: Extent, by: str) -> Decision:
        """About a host as a person writes it. Raises ValueError."""
        return cls(host_rule(host, "live", action), extent, by)


@dataclass(frozen=True, slots=True)
class Question:
    """A destination, the oldest request that waits to reach it, and how many do."""

    id: int
    destination: Destination
    method: str
    url: str
    waiting: int

    @property
    def host(self) -> str:
        """What is allowed beyond this one request, as a person writes it: the host and port."""
        return str(HostPattern(self.destination.host, self.destination.port))

    @property
    def is_inside(self) -> bool:
        """Whether it is on the person's machine or network, and not on the open internet."""
        host = self.destination.host
        if is_address(host):
            return not is_public(host)
        return host == "localhost"

    def decision(self, action: Action, extent: Extent, by: str) -> Decision:
        """The decision about this very host and port, and no other."""
        host = format_host_port(self.destination.host, self.destination.port)
        return Decision.about(host, action, extent, by)


class Waiting:
    """The requests of a run that wait, and the permissions that wait for a request."""

    def __init__(self) -> None:
        self._requests: dict[int, Request] = {}
        self._once: list[Rule] = []
        self._last = 0

    def add(self, request: Request) -> int | None:
        """Let a request wait; its number, or None where too many wait already."""
        places = {waiting.destination for waiting in self._requests.values()}
        if len(self._requests) >= MAX_WAITING:
            return None
        if len(places) >= MAX_QUESTIONS and request.destination not in places:
            return None
        self._last += 1
        self._requests[self._last] = request
        return self._last

    def discard(self, number: int) -> None:
        """It waits no more."""
        self._requests.pop(number, None)

    def requests(self) -> tuple[tuple[int, Request], ...]:
        """Everything that waits, the oldest first."""
        return tuple(self._requests.items())

    def questions(self) -> tuple[Question, ...]:
        """What there is to ask, the oldest first."""
        found: dict[Destination, Question] = {}
        for number, request in self._requests.items():
            first = found.get(request.destination)
            found[request.destination] = Question(
                id=first.id if first else number,
                destination=request.destination,
                method=first.method if first else shown(request.method, limit=40),
                url=first.url if first else shown(redact.url(request.url), limit=1000),
                waiting=first.waiting + 1 if first else 1,
            )
        return tuple(found.values())

    def meant_by(self, rule: Rule) -> Iterator[int]:
        """The numbers of the requests that are a rule's to decide, the oldest first."""
        return (n for n, request in self.requests() if rule.covers(request.destination))

    @property
    def permissions(self) -> int:
        """How many permissions for one request nobody has used yet."""
        return len(self._once)

    def permit_once(self, rule: Rule) -> None:
        """Let one more request through that is the rule's to decide."""
        self._once.append(rule)

    def use_permission(self, request: Request) -> Rule | None:
        """The permission for one request that is meant for this one, used up by it."""
        for rule in self._once:
            if rule.covers(request.destination):
                self._once.remove(rule)
                return rule
        return None


def shown(text: str, *, limit: int) -> str:
    """A text of the agent's for a screen: one line of ASCII, on which no letter looks like another.

    What is longer is cut at its end.
    """
    plain = redact.printable(text, limit=limit).encode("ascii", "backslashreplace").decode("ascii")
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
