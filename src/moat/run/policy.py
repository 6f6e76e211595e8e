"""The policy of a run, from what everybody said who has a say. Pure.

The first rule that is about a host decides, so their order is whose word counts:

1. what is said during the run, put in front as it is said
2. `network.rules` of the person's settings: no option and no project undoes them
3. what was typed for this run: hosts, then the rules of a file that was named
4. the project's rules: they may narrow what its agent or a grant needs, which follow
5. the agent's hosts, those of grants, those of MCP servers
6. `network.allow` of the person's settings: hosts that may be reached where nobody narrowed it
7. where nothing else is allowed, the paths that a grant is for, and no others of its host
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from moat.config.network import NetworkPolicy, NetworkRule
from moat.core.hosts import HostPattern
from moat.core.nothing import NOTHING
from moat.engine.policy import Mode, Policy
from moat.engine.rules import PathRule, Rule, Source, host_rule
from moat.errors import UsageError

Groups = Mapping[str, Sequence[HostPattern]]
"""The hosts of groups, by name without @."""

_OPENNESS: tuple[NetworkPolicy, ...] = ("strict", "ask", "permissive")
_HOW = "write HOST, HOST:PORT, *.DOMAIN or @GROUP, such as --allow-host github.com"


class NetworkWanted(NamedTuple):
    """What was said of the network: by option, by a file that one names, by project and settings.

    `groups` has every group that is named, and `registries` the variables that tell their clients
    in a box of them.
    """

    policy: NetworkPolicy | None = None
    allow_options: tuple[str, ...] = ()
    file_rules: tuple[NetworkRule, ...] = ()
    project_policy: NetworkPolicy | None = None
    project_rules: tuple[NetworkRule, ...] = ()
    settings_policy: NetworkPolicy | None = None
    settings_rules: tuple[NetworkRule, ...] = ()
    settings_allow: tuple[str, ...] = ()
    groups: Groups = NOTHING
    registries: Mapping[str, str] = NOTHING

    @property
    def mode(self) -> Mode:
        """How what no rule is about is met.

        What was typed holds. Else a project may choose, but nothing more open than the person's
        settings say, if they say anything.
        """
        if self.policy is not None:
            return self.policy
        said = [said for said in (self.project_policy, self.settings_policy) if said is not None]
        return min(said, key=_OPENNESS.index, default="strict")

    @property
    def is_held_back(self) -> bool:
        """Whether the project asked for something more open than it gets."""
        asked = self.project_policy
        return asked is not None and _OPENNESS.index(self.mode) < _OPENNESS.index(asked)


def build_policy(
    wanted: NetworkWanted,
    *,
    agent: Iterable[HostPattern] = (),
    grants: Iterable[HostPattern] = (),
    servers: Iterable[HostPattern] = (),
    paths_of_grants: Iterable[Rule] = (),
) -> Policy:
    """The policy of a run whose agent, grants and MCP servers need these hosts, and whose other
    grants these paths. Raises UsageError for an option that is no host.
    """
    groups = wanted.groups
    rules: list[Rule] = []
    for said in wanted.settings_rules:
        rules += _said(said, "settings", groups)
    for text in wanted.allow_options:
        rules += _typed(text, groups)
    for said in wanted.file_rules:
        rules += _said(said, "file", groups)
    for said in wanted.project_rules:
        rules += _said(said, "project", groups)
    rules += (Rule(pattern, "agent") for pattern in agent)
    rules += (Rule(pattern, "grant") for pattern in grants)
    rules += (Rule(pattern, "project") for pattern in servers)
    for text in wanted.settings_allow:
        rules += _said(NetworkRule(text), "settings", groups)
    if wanted.mode == "strict":
        # A rule about paths denies the others: what is asked about or let through stays that.
        rules += paths_of_grants
    return Policy(tuple(rules), wanted.mode)


def _said(said: NetworkRule, source: Source, groups: Groups) -> Iterable[Rule]:
    paths = tuple(map(PathRule.parse, said.paths))
    if said.group is None:
        yield host_rule(said.host, source, said.action, paths)
        return
    for pattern in groups[said.group]:
        every_port = said.action == "deny"
        yield Rule(pattern, source, said.action, paths, every_port, said.group)


def _typed(text: str, groups: Groups) -> Iterable[Rule]:
    if text.startswith("@"):
        return _said(NetworkRule(text), "option", groups)
    try:
        return [host_rule(text, "option")]
    except ValueError as error:
        raise UsageError(f"--allow-host: {error}", hint=_HOW) from None
