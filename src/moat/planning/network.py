"""What a run is to reach, by options, project and settings; groups of hosts are looked up here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from moat.config.network import NetworkRule
from moat.config.paths import Home
from moat.config.settings import Settings
from moat.planning.asked import Asked
from moat.planning.context import Context
from moat.planning.project import Opened
from moat.run.policy import NetworkWanted

if TYPE_CHECKING:
    from moat.config.network import NetworkPolicy
    from moat.config.project import ProjectNetwork
    from moat.run.groups import Group, Groups


def wanted_network(
    context: Context, asked: Asked, opened: Opened | None, workspace: Path
) -> NetworkWanted:
    """All that was said of the network. Raises MoatError for a group that cannot be looked up."""
    _tell_what_opens(context, asked.allow)
    settings = context.settings.network
    project = opened.project.network if opened else None
    rules = project.rules if project else ()
    if opened and not opened.agreed and any(rule.group is not None for rule in rules):
        # Nothing is asked of this machine's programs on behalf of what nobody agreed to.
        context.tell("note: the groups of hosts in moat.yaml are looked up once it is agreed to")
        rules = tuple(rule for rule in rules if rule.group is None)
    own = (*settings.rules, *map(NetworkRule, (*settings.allow, *asked.allow)))
    groups = _look_up(context, opened, workspace, own, rules)
    wanted = NetworkWanted(
        policy=asked.policy,
        allow_options=asked.allow,
        project_policy=project.policy if project else None,
        project_rules=rules,
        settings_policy=settings.policy,
        settings_rules=settings.rules,
        settings_allow=settings.allow,
        groups={name: group.hosts for name, group in groups.items()},
        registries={
            name: value for group in groups.values() for name, value in group.variables.items()
        },
    )
    if wanted.is_held_back and asked.policy is None:
        context.tell(
            f"note: moat.yaml asks for the policy {wanted.project_policy}, and your config.yaml "
            f"for {wanted.settings_policy}, which holds"
        )
    return wanted


def network_alone(
    context: Context, *, policy: NetworkPolicy | None, allow: tuple[str, ...], file: ProjectNetwork
) -> NetworkWanted:
    """All that was said of the network of a proxy without a box: by options, a file that one of
    them names, and settings. Raises MoatError for a group that cannot be looked up."""
    _tell_what_opens(context, allow)
    settings = context.settings.network
    own = (*settings.rules, *file.rules, *map(NetworkRule, (*settings.allow, *allow)))
    groups = _look_up(context, None, None, own, ())
    return NetworkWanted(
        policy=policy or file.policy,
        allow_options=allow,
        file_rules=file.rules,
        settings_policy=settings.policy,
        settings_rules=settings.rules,
        settings_allow=settings.allow,
        groups={name: group.hosts for name, group in groups.items()},
    )


def _tell_what_opens(context: Context, allow: Iterable[str]) -> None:
    """What was typed may be an address that opens more than its look."""
    if allow:
        from moat.planning.inside import what_it_opens

        for told in filter(None, map(what_it_opens, allow)):
            context.tell(f"warning: {told}")


def find_groups(home: Home, settings: Settings, workspace: Path | None) -> Groups:
    """The groups of hosts there are; no program is asked that a run could have changed."""
    from moat.run.finding import list_runs
    from moat.run.groups import Groups  # here, as most runs name no group

    changeable = {Path(run.workspace) for run in list_runs(home.runs) if run.workspace}
    if workspace is not None:
        changeable.add(workspace)
    return Groups(dict(settings.network.groups), environ=os.environ, changeable=changeable)


def _look_up(
    context: Context,
    opened: Opened | None,
    workspace: Path | None,
    own: Iterable[NetworkRule],
    rules: Iterable[NetworkRule],
) -> dict[str, Group]:
    """Every group that is named."""
    names = {rule.group for rule in own if rule.group is not None}
    said = [(number, rule.group) for number, rule in enumerate(rules) if rule.group is not None]
    if not names and not said:
        return {}
    groups = find_groups(context.home, context.settings, workspace)
    found = {name: groups.find(name) for name in sorted(names)}
    for number, name in said:
        with opened.told_at("network", "rules", number) if opened else contextlib.nullcontext():
            found[name] = groups.find(name)
    return found
