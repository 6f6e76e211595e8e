"""Which rule would have allowed most nearly what was refused, for whoever reads the refusal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moat.core.hosts import Destination
from moat.engine.rules import PathRule, Rule


def nearest_rule(rules: Iterable[Rule], destination: Destination) -> Rule | None:
    """Of the rules that allow: one behind that which denied, one of another port, a like name."""
    allowing = [rule for rule in rules if rule.action == "allow"]
    for fits in (Rule.covers, Rule.names):
        for rule in allowing:
            if fits(rule, destination):
                return rule
    import difflib  # here, as few requests are refused

    by_host = {rule.pattern.host: rule for rule in reversed(allowing)}
    close = difflib.get_close_matches(destination.host, by_host, n=1, cutoff=0.5)
    return by_host[close[0]] if close else None


def nearest_path(rules: Sequence[PathRule], method: str, parts: Sequence[str]) -> PathRule | None:
    """Of the lines about paths that allow: one for another method, or for the path most alike."""
    allowing = [rule for rule in rules if rule.action == "allow"]
    return max(allowing, key=lambda rule: _likeness(rule, method, parts), default=None)


def _likeness(rule: PathRule, method: str, parts: Sequence[str]) -> tuple[bool, int, bool]:
    own = rule.path.text[1:].split("/")
    alike = 0
    for one, other in zip(own, parts, strict=False):
        if one not in (other, "*"):
            break
        alike += 1
    return rule.path.matches(parts), alike, rule.method in ("*", method)
