"""Planning a run from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from moat.config.network import NetworkPolicy
from moat.config.paths import Home, ensure_home, moat_home
from moat.config.settings import load_settings
from moat.core.ids import new_run_id
from moat.core.limits import OPTIONS
from moat.errors import UsageError
from moat.planning.asked import Asked
from moat.planning.context import Context, tell_nobody
from moat.planning.gather import gather
from moat.providers.agent import AgentWanted
from moat.run.plan import Plan, build_plan
from moat.runtimes.interface import WORKSPACE


def plan(
    command: Sequence[str] = (),
    *,
    agent: str | None = None,
    prompt: str | None = None,
    model: str | None = None,
    workspace: str | os.PathLike[str] = ".",
    grants: Iterable[str] = (),
    allow: Iterable[str] = (),
    policy: NetworkPolicy | None = None,
    env: Mapping[str, str] | None = None,
    mounts: Iterable[str] = (),
    limits: Mapping[str, str] | None = None,
    allow_write: Iterable[str] = (),
    worktree: str | None = None,
    name: str | None = None,
    trust: bool = False,
    terminal: tuple[int, int] | None = None,
    home: Path | None = None,
    tell: Callable[[str], None] = tell_nobody,
) -> Plan:
    """Plan a run; nothing is started. The words mean what the options of the same names do.

    Either a `command` or an `agent`, such as "codex", with a `prompt`. `limits` are texts by the
    words of the options ("memory": "2g"); `terminal` is a size in rows and columns, None for
    pipes. A project's moat.yaml that was not agreed to is refused unless you `trust` it. `tell` is
    told what a person would be. Raises MoatError.
    """
    if (agent is None) == (not command):
        raise UsageError("either a command or an agent is run", hint="give one of the two")
    if agent is not None and prompt is None and terminal is None:
        raise UsageError("an agent without a terminal needs a prompt", hint="give a prompt")
    limits = dict(limits or {})
    if unknown := [word for word in limits if word not in OPTIONS]:
        raise UsageError(
            f"there is no limit {unknown[0]!r}", hint=f"there are {', '.join(OPTIONS)}"
        )
    place = find_home(home)
    ensure_home(place)
    asked = Asked(
        command_line=f"moat {agent or 'run'}",
        workspace=os.fspath(workspace),
        command=tuple(command),
        agent=agent,
        task=AgentWanted(WORKSPACE, prompt=prompt, model=model) if agent else None,
        grants=tuple(grants),
        allow=tuple(allow),
        policy=policy,
        env=tuple(f"{key}={value}" for key, value in (env or {}).items()),
        mounts=tuple(mounts),
        limits=limits,
        allow_write=tuple(allow_write),
        worktree=worktree,
        name=name,
        trust=trust,
    )
    context = Context(place, load_settings(place), tell)
    return build_plan(new_run_id(), gather(context, asked))._replace(terminal=terminal)


def find_home(home: Path | None) -> Home:
    """Moat's directory: the one that is given, or as the environment says."""
    return Home(home.absolute() if home is not None else moat_home(os.environ))
