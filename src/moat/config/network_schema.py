"""What settings files may say of the network: hosts, groups of them, rules about requests."""

from __future__ import annotations

import re

from moat.config.network import NetworkRule
from moat.config.nodes import Node, fault, place_of, quoted
from moat.config.schema import Checked, Choice, Either, ListOf, Record, Text
from moat.config.texts import like
from moat.core.hosts import HostPattern
from moat.core.methods import meant_method
from moat.engine.rules import PathRule, has_port, split_host_rule

_GROUP_FORM = "[a-z][a-z0-9-]{0,31}"
_GROUP = re.compile("@" + _GROUP_FORM)
_HOST_FORM = r"[^/\s]+"
_LINE_FORM = r"[ \t]*(allow|deny)[ \t]+(\*|[A-Za-z-]+)[ \t]+/\S*[ \t]*"


def _host(text: str) -> str:
    """A host pattern or a group, as it is written once and for all."""
    if text.startswith("@"):
        if not _GROUP.fullmatch(text):
            raise ValueError(f"{quoted(text)} is not the name of a group, such as @npm")
        return text
    return str(HostPattern.parse(text))


def _rule(text: str) -> NetworkRule:
    action, host = split_host_rule(text)
    canonical = _host(host)
    # To allow a host is to allow its port 443, to deny it is to deny every port.
    if action == "deny" and not host.startswith("@") and has_port(host) and not has_port(canonical):
        canonical += ":443"
    return NetworkRule(canonical, action)


def _line(text: str) -> str:
    line = PathRule.parse(text)
    if meant := meant_method(line.method):
        raise ValueError(f"there is no method {line.method}; did you mean {meant}?")
    return str(line)


def _long_rule(*, host: str, rules: tuple[str, ...]) -> NetworkRule:
    return NetworkRule(host, paths=rules)


def _says_something(rule: NetworkRule, node: Node) -> None:
    if not rule.paths:
        raise fault(
            place_of(node, "rules"),
            "no request would be allowed by an empty list",
            hint=f'write "{rule.host}" alone to allow all requests, or "deny {rule.host}" for none',
        )


def _nothing_is_hidden(rules: tuple[NetworkRule, ...], node: Node) -> None:
    """Refuse an entry that cannot count: the first that is about a host decides."""
    for number, rule in enumerate(rules):
        for before, earlier in enumerate(rules[:number]):
            if _hides(earlier, rule):
                line = place_of(node, before).line
                raise fault(
                    place_of(node, number),
                    f"{quoted(str(earlier))} on line {line} decides before this",
                    hint="put the one that is about fewer hosts first, or make them one",
                )


def _hides(earlier: NetworkRule, later: NetworkRule) -> bool:
    if earlier.action == later.action and not earlier.paths and not later.paths:
        return False  # said twice, which does no harm
    if earlier.group or later.group:
        return earlier.host == later.host
    one, other = HostPattern.parse(earlier.host), HostPattern.parse(later.host)
    every_port = earlier.action == "deny" and not has_port(earlier.host)
    if one.port != other.port and not every_port:
        return False
    if one.below:
        return other.host.endswith("." + one.host) or (other.below and other.host == one.host)
    return not other.below and one.host == other.host


HOST = Text(_host, _HOST_FORM)
"""A host pattern or a group, as text."""

GROUP_NAME = like(_GROUP_FORM, "the name of a group: small letters, digits and dashes")

POLICY = Choice(("strict", "ask", "permissive"))

RULES = Checked(
    ListOf(
        Either(
            Text(_rule, rf"[ \t]*((allow|deny)[ \t]+)?{_HOST_FORM}[ \t]*"),
            Checked(
                Record(
                    _long_rule,
                    {"host": HOST, "rules": ListOf(Text(_line, _LINE_FORM))},
                    frozenset({"host", "rules"}),
                ),
                _says_something,
            ),
        )
    ),
    _nothing_is_hidden,
)
