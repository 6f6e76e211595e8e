"""Whether a request may go: deny by default, and say why.

The policy is a value: an ordered table of rules. It is replaced, never edited.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from moat.core.hosts import Destination, HostPattern
from moat.engine.messages import Request

Source = Literal["agent", "grant", "option", "project", "settings"]

_SOURCES: dict[Source, str] = {
    "agent": "the agent needs it",
    "grant": "a grant is bound to it",
    "option": "--allow-host",
    "project": "moat.yaml",
    "settings": "network.allow in config.yaml",
}


_NAMED_BY_THE_PERSON = ("option", "project", "settings")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is allowed, and who said so."""

    pattern: HostPattern
    source: Source

    def allows(self, destination: Destination) -> bool:
        """Whether this rule lets a request go to a destination.

        Plain http goes only where the person named a port for it: what an agent or a grant
        needs is https, and so is port 443.
        """
        if destination.scheme == "http":
            named = self.source in _NAMED_BY_THE_PERSON and self.pattern.port != 443
            return named and self.pattern.matches(destination)
        return self.pattern.matches(destination)

    def __str__(self) -> str:
        return f"allow {self.pattern} ({_SOURCES[self.source]})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of one request, with the rule that decided.

    `rule` is None where no rule matched; `nearest` is then the rule that came closest, if any.
    """

    allowed: bool
    reason: str
    rule: Rule | None = None
    nearest: Rule | None = None

    @property
    def rule_name(self) -> str:
        """The deciding rule as a person reads it."""
        if self.rule is not None:
            return str(self.rule)
        return "allow by default (permissive)" if self.allowed else "deny by default"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one run; `permissive` lets through what no rule names.

    Addresses that are not public are out of reach all the same: only a rule that names a local
    service leads there.
    """

    rules: tuple[Rule, ...] = ()
    permissive: bool = False

    def decide(self, request: Request) -> Verdict:
        """Judge one request; a pure function of the request and the rules."""
        destination = request.destination
        for rule in self.rules:
            if rule.allows(destination):
                return Verdict(allowed=True, reason="allowed by a rule", rule=rule)
        unspoken = destination.scheme == "http" and destination.port == 443
        if self.permissive and not unspoken:
            return Verdict(allowed=True, reason="the policy is permissive")
        nearest = self._nearest(destination.host)
        if unspoken:
            reason = "plain http is not spoken to port 443"
        elif nearest is not None and nearest.pattern.host == destination.host:
            reason = f"no rule allows {destination.host} on port {destination.port}"
        else:
            reason = f"no rule allows {destination.host}"
        return Verdict(allowed=False, reason=reason, nearest=nearest)

    def _nearest(self, host: str) -> Rule | None:
        by_host = {rule.pattern.host: rule for rule in reversed(self.rules)}
        close = difflib.get_close_matches(host, by_host, n=1, cutoff=0.5)
        return by_host[close[0]] if close else None
