"""Whether a request may go: deny by default, and say why.

The policy is a value: an ordered table of rules, of which the first that is about a destination
decides. It is replaced, never edited; all it keeps is what it found out about destinations.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from moat.core.hosts import Destination
from moat.engine.messages import Headers, Request
from moat.engine.nearest import nearest_path, nearest_rule
from moat.engine.paths import segments
from moat.engine.rules import PathRule, Rule, Source

__all__ = ["Mode", "Policy", "Rule", "Source", "Verdict"]

Mode = Literal["strict", "ask", "permissive"]

# A client may ask for any number of hosts.
_REMEMBERED = 1024
# By these a server takes a request for one of another method or path, where it heeds them.
_OVERRIDING = frozenset(
    {
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
    }
)
ALLOWED_WHEN_ASKED = "allowed when asked"
_BY_DEFAULT = {
    "allow": "allow by default (permissive)",
    "ask": "ask by default",
    "deny": "deny by default",
}


class Verdict(NamedTuple):
    """What policy says of one request, with the rule that decided.

    `ask` means that no rule says anything, and that the person is to be asked. `rule` is None
    where none decided; `path` is the line of it that did, if any. `nearest` came closest to
    allowing what was not, if anything did.
    """

    action: Literal["allow", "deny", "ask"]
    reason: str
    rule: Rule | None = None
    path: PathRule | None = None
    nearest: Rule | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may go without another word."""
        return self.action == "allow"

    @property
    def rule_name(self) -> str:
        """The deciding rule as a person reads it."""
        if self.rule is None:
            return self.reason if self.reason == ALLOWED_WHEN_ASKED else _BY_DEFAULT[self.action]
        return str(self.rule) if self.path is None else self.rule.said(self.path)


def allowed_when_asked(verdict: Verdict) -> Verdict:
    """What becomes of a verdict that left it to the person, who said yes."""
    return Verdict("allow", ALLOWED_WHEN_ASKED, nearest=verdict.nearest)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one run, and what becomes of a request that none is about.

    `strict` denies it, `ask` leaves it to the person, `permissive` lets it through. Addresses that
    are not public are out of reach all the same: only a rule that names a local service leads
    there.
    """

    rules: tuple[Rule, ...] = ()
    mode: Mode = "strict"
    _known: dict[Destination, Verdict | Rule] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def with_rule(self, rule: Rule) -> Policy:
        """The same with one more rule, which comes before the others."""
        return Policy((rule, *self.rules), self.mode)

    def decide(self, request: Request) -> Verdict:
        """Judge one request; a pure function of the request and the rules."""
        known = self._known.get(request.destination)
        if known is None:
            known = self._find_out(request.destination)
        return known if isinstance(known, Verdict) else _by_path(known, request)

    def _find_out(self, destination: Destination) -> Verdict | Rule:
        """What is true of every request to a destination, or the rule that looks at each."""
        known = self._by_host(destination)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[destination] = known
        return known

    def _by_host(self, destination: Destination) -> Verdict | Rule:
        rule = next((rule for rule in self.rules if rule.covers(destination)), None)
        if rule is None:
            return self._by_default(destination)
        if rule.action == "deny":
            nearest = nearest_rule(self.rules, destination)
            return Verdict("deny", f"{destination.host} is denied", rule, nearest=nearest)
        return rule if rule.paths else Verdict("allow", "allowed by a rule", rule)

    def _by_default(self, destination: Destination) -> Verdict:
        nearest = nearest_rule(self.rules, destination)
        if destination.scheme == "http" and destination.port == 443:
            return Verdict("deny", "plain http is not spoken to port 443", nearest=nearest)
        reason = f"no rule allows {destination.host}"
        if nearest is not None and nearest.names(destination):
            reason += f" on port {destination.port}"
            if destination.scheme == "http" and nearest.pattern.port == destination.port:
                reason += " over plain http"
        if self.mode == "strict":
            return Verdict("deny", reason, nearest=nearest)
        if self.mode == "ask":
            return Verdict("ask", reason, nearest=nearest)
        # Or another port would be the way around its rules about paths.
        limiting = (rule for rule in self.rules if rule.paths and rule.names(destination))
        limited = next(limiting, None)
        if limited is not None:
            return Verdict("deny", reason, limited, nearest=nearest)
        return Verdict("allow", "the policy is permissive")


def _by_path(rule: Rule, request: Request) -> Verdict:
    """Judge a request by the lines of a rule about paths: the first that speaks of it decides."""
    method = request.method
    try:
        _check_headers(request.headers)
        parts = segments(request.target.partition("?")[0])
    except ValueError as error:
        return Verdict("deny", f"{error}, and {rule.pattern} has rules about paths", rule)
    path = rule.line_for(method, parts)
    if path is not None and path.action == "allow":
        return Verdict("allow", "allowed by a rule", rule, path)
    near = nearest_path(rule.paths, method, parts)
    nearest = None if near is None else replace(rule, paths=(near,))
    if path is not None:
        return Verdict("deny", f"{method} is denied at this path", rule, path, nearest)
    reason = f"no rule about paths of {rule.pattern} allows {method} at this one"
    return Verdict("deny", reason, rule, nearest=nearest)


def _check_headers(headers: Headers) -> None:
    for name, _ in headers:
        if name[:1] in (b"x", b"X") and name.lower().replace(b"_", b"-") in _OVERRIDING:
            raise ValueError(f"{name.decode('latin-1')} asks for another method or path")
