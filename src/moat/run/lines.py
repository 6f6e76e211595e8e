"""A line about requests that is said while a run lives: the rules that put it first. Pure.

A rule about paths denies what none of its lines fits, so a line alone would close what was open.
It is put before what is already said of the same hosts: of those that are open it changes the
requests it speaks of, and of those that are closed it opens these and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from moat.core.addresses import is_public
from moat.core.hosts import Destination, HostPattern, is_address
from moat.engine.messages import Request
from moat.engine.paths import folded, segments
from moat.engine.policy import Mode, Policy
from moat.engine.rules import PathRule, Rule

_EVERYTHING = PathRule.parse("allow * /**")


def rules_with_line(
    rules: Iterable[Rule], mode: Mode, pattern: HostPattern, line: PathRule
) -> tuple[Rule, ...]:
    """The rules that come before these so that a line holds for a pattern; none where it would
    change nothing. `mode` says what becomes of a host that no rule names."""
    found: list[Rule] = []
    rules = tuple(rules)
    for rule in rules:
        shared = _shared(rule, pattern)
        if shared is None:
            continue
        found.append(_with_line(rule, shared, line))
        if shared == pattern and _decides(rule):
            break
    else:
        if line.action == "deny" and mode == "permissive":
            found += _still_closed(rules, pattern, line)
        found += _where_no_rule_is(mode, pattern, line)
    return tuple(found) if any(line in rule.paths for rule in found) else ()


def speaks_of(rules: Iterable[Rule], line: PathRule, request: Request) -> bool:
    """Whether a line at the hosts of some rules is about a request."""
    if line.action == "allow":
        # As a policy judges it, which looks at more than method and path.
        lined = tuple(replace(rule, paths=(line,)) for rule in rules)
        return Policy(lined).decide(request).allowed
    try:
        parts = segments(request.target.partition("?")[0])
    except ValueError:
        return False
    about_host = any(rule.covers(request.destination) for rule in rules)
    return about_host and line.matches(request.method, parts, folded(parts))


def _with_line(rule: Rule, pattern: HostPattern, line: PathRule) -> Rule:
    """What is said of a pattern by a rule that is about it, and before that the line."""
    if rule.action == "deny":
        if line.action == "deny":
            return replace(rule, pattern=pattern, every_port=False)
        return Rule(pattern, "live", paths=(line,), group=rule.group)
    if line.action == "allow" and not rule.paths:
        return replace(rule, pattern=pattern)  # with lines it would be open to less
    said = (line.method, line.path)
    others = tuple(path for path in rule.paths if (path.method, path.path) != said)
    paths = (line, *(others if rule.paths else (_EVERYTHING,)))
    # Who needs a host over https does not open plain http to it.
    source = "live" if _decides(rule) else rule.source
    return Rule(pattern, source, paths=paths, group=rule.group)


def _still_closed(rules: Iterable[Rule], pattern: HostPattern, line: PathRule) -> Iterable[Rule]:
    """Of a host with rules about paths at one port, even a permissive policy leaves the others
    closed: what is denied there is not what opens them."""
    for rule in rules:
        shared = _shared(replace(rule, pattern=rule.pattern._replace(port=pattern.port)), pattern)
        if rule.paths and shared is not None:
            yield Rule(shared, "live", paths=(line,))


def _where_no_rule_is(mode: Mode, pattern: HostPattern, line: PathRule) -> Iterable[Rule]:
    is_open = mode == "permissive" and not _is_inside(pattern)
    if line.action == "allow" and not is_open:
        yield Rule(pattern, "live", paths=(line,))
    elif line.action == "deny" and is_open:
        yield Rule(pattern, "live", paths=(line, _EVERYTHING))


def _decides(rule: Rule) -> bool:
    """Whether it has the word about all that asks at its port, plain http as well as https."""
    if rule.action == "deny" or rule.pattern.port == 443:
        return True
    host = f"any.{rule.pattern.host}" if rule.pattern.below else rule.pattern.host
    return rule.covers(Destination("http", host, rule.pattern.port))


def _shared(rule: Rule, pattern: HostPattern) -> HostPattern | None:
    """The hosts of a pattern that a rule is about, if there are any: one of the two patterns."""
    own = rule.pattern._replace(port=pattern.port) if rule.every_port else rule.pattern
    if _includes(own, pattern):
        return pattern
    return own if _includes(pattern, own) else None


def _includes(wide: HostPattern, narrow: HostPattern) -> bool:
    if wide == narrow:
        return True
    return wide.below and wide.port == narrow.port and narrow.host.endswith("." + wide.host)


def _is_inside(pattern: HostPattern) -> bool:
    """Whether a rule that names it would open what a permissive policy leaves closed."""
    if is_address(pattern.host):
        return not is_public(pattern.host)
    return pattern.is_local_service
