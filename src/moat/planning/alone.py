"""What a proxy without a box is planned from: what was typed, the settings, what is stored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from moat.config.network import NetworkPolicy
from moat.config.project import ProjectNetwork
from moat.core.ids import new_run_id
from moat.errors import UsageError
from moat.planning.context import Context
from moat.planning.gather import find_grants
from moat.planning.network import network_alone
from moat.run.plan import Plan, Wanted, build_plan
from moat.vault.store import Store

_POLICIES = get_args(NetworkPolicy)


def plan_alone(
    context: Context,
    *,
    command: tuple[str, ...],
    grants: Iterable[str],
    allow: tuple[str, ...],
    policy: str | None,
    name: str | None,
) -> tuple[Plan, dict[str, str]]:
    """The plan, and the placeholders of its grants by variable. Raises MoatError.

    `policy` is a word or names a file; `command` is what was typed.
    """
    word, file = _policy(policy)
    store = Store(context.home.credentials)
    providers = find_grants(store, grants, urls={})
    facts = {provider.grant_ref: store.describe(provider.grant_ref) for provider in providers}
    if name is not None:
        from moat.planning.typed import free_name

        name = free_name(name, context.home.runs)
    wanted = Wanted(
        workspace=Path("/"),  # there is none
        command=command,
        upstream=context.settings.upstream,
        environ={},
        terminal=None,
        command_line="moat proxy",
        providers=providers,
        facts=facts,
        network=network_alone(context, policy=word, allow=allow, file=file),
        name=name,
        ask_timeout=context.settings.network.ask_timeout,
    )
    plan = build_plan(new_run_id(), wanted)
    placeholders: dict[str, str] = {}
    for provider in providers:
        placeholders |= provider.container_env(facts[provider.grant_ref])
    return plan, placeholders


def _policy(text: str | None) -> tuple[NetworkPolicy | None, ProjectNetwork]:
    """A word as it is, or what the file of that name says. Raises MoatError."""
    if text is None:
        return None, ProjectNetwork()
    for word in _POLICIES:
        if text == word:
            return word, ProjectNetwork()
    from moat.config.policy_file import load_policy_file

    try:
        file = load_policy_file(Path(text))
    except FileNotFoundError:
        raise UsageError(
            f"--policy: {text!r} is none of {', '.join(_POLICIES)}, and there is no such file",
            hint="a file has what may stand below `network` in moat.yaml: policy, rules",
        ) from None
    return file.policy, file
