"""What waits for the person's word, and what that word does to the policy of a run. Pure.

Requests to one destination are one question. It shows the oldest of them, whose number is the
question's: who answers "once" lets through the very request that was shown, and nothing that came
meanwhile.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from moat.core import redact
from moat.core.addresses import is_public
from moat.core.hosts import Destination, HostPattern, format_host_port, is_address
from moat.engine.messages import Request
from moat.engine.policy import Mode, Policy, Verdict
from moat.engine.rules import Action, PathRule, Rule, host_rule
from moat.run.lines import rules_with_line, speaks_of

Extent = Literal["once", "run", "always"]

# What one run may keep waiting: a hostile one must not bury the person in questions.
MAX_WAITING = 64
MAX_QUESTIONS = 16
# Permissions for one request that nobody has come to use yet.
MAX_ONCE = 32


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided for a run: `by` says who, as in "moat allow".

    `rules` are about hosts: one, or those of `group`. With `line` it is about the requests to them
    that the line speaks of, and about no others.
    """

    action: Action
    rules: tuple[Rule, ...]
    extent: Extent
    by: str
    line: PathRule | None = None
    group: str | None = None

    @classmethod
    def about(
        cls, host: str, action: Action, extent: Extent, by: str, line: PathRule | None = None
    ) -> Decision:
        """About a host as a person writes it. Raises ValueError."""
        return cls(action, (host_rule(host, "live", action),), extent, by, line)

    @classmethod
    def about_group(
        cls,
        group: str,
        hosts: Iterable[str],
        action: Action,
        extent: Extent,
        by: str,
        line: PathRule | None = None,
    ) -> Decision:
        """About the hosts of a group, as HostPattern writes them. Raises ValueError."""
        denies = action == "deny"
        rules = tuple(
            Rule(HostPattern.parse(host), "live", action, every_port=denies, group=group)
            for host in dict.fromkeys(hosts)
        )
        return cls(action, rules, extent, by, line, group)

    @property
    def host(self) -> str:
        """The host or group, as a person writes it."""
        if self.group is not None:
            return f"@{self.group}"
        rule = self.rules[0]
        host = str(rule.pattern)
        # A denial without a port would be of every port.
        bare = rule.action == "deny" and not rule.every_port and rule.pattern.port == 443
        return f"{host}:443" if bare else host

    @property
    def subject(self) -> str:
        """All it is about, as it is written down."""
        return (
            self.host if self.line is None else f"{self.host} {self.line.method} {self.line.path}"
        )

    @property
    def words(self) -> str:
        """The same, as it is typed in a shell."""
        if self.line is None:
            return shlex.quote(self.host)
        return shlex.join((self.host, self.line.method, str(self.line.path)))

    def means(self, request: Request) -> bool:
        """Whether a request is this decision's to decide."""
        if self.line is not None:
            return speaks_of(self.rules, self.line, request)
        return any(rule.covers(request.destination) for rule in self.rules)

    def rules_before(self, rules: tuple[Rule, ...], mode: Mode) -> tuple[Rule, ...]:
        """What comes before the rules there are; none where that would change nothing."""
        if self.line is None:
            return self.rules
        found: list[Rule] = []
        for rule in self.rules:
            ports = {rule.pattern.port}
            if rule.every_port:
                ports |= {other.pattern.port for other in rules}
            for port in sorted(ports):
                pattern = rule.pattern._replace(port=port)
                found += rules_with_line(rules, mode, pattern, self.line)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class OncePolicy(Policy):
    """A strict policy while somebody may come to use a permission for one request: what `permits`
    says is one is asked about, and all else is denied as ever."""

    permits: Callable[[Request], bool] = lambda _: False

    def decide(self, request: Request) -> Verdict:
        """Judge one request."""
        verdict = Policy.decide(self, request)
        if verdict.action != "ask" or self.permits(request):
            return verdict
        return verdict._replace(action="deny")


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
        self._once: list[Decision] = []
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

    def meant_by(self, decision: Decision) -> Iterator[int]:
        """The numbers of the requests that are a decision's to decide, the oldest first."""
        return (number for number, request in self.requests() if decision.means(request))

    @property
    def permissions(self) -> int:
        """How many permissions for one request nobody has used yet."""
        return len(self._once)

    def permit_once(self, decision: Decision) -> None:
        """Let one more request through that is the decision's to decide."""
        self._once.append(decision)

    def permits(self, request: Request) -> bool:
        """Whether there is a permission that this request may use."""
        return any(decision.means(request) for decision in self._once)

    def use_permission(self, request: Request) -> Decision | None:
        """The permission for one request that is meant for this one, used up by it."""
        for decision in self._once:
            if decision.means(request):
                self._once.remove(decision)
                return decision
        return None


def shown(text: str, *, limit: int) -> str:
    """A text of the agent's for a screen: one line of ASCII, on which no letter looks like another.

    What is longer is cut at its end.
    """
    plain = redact.printable(text, limit=limit).encode("ascii", "backslashreplace").decode("ascii")
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
