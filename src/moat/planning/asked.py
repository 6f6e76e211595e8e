"""What was typed to start a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from moat.core.nothing import NOTHING

if TYPE_CHECKING:
    from moat.config.network import NetworkPolicy
    from moat.providers.agent import AgentWanted


class Asked(NamedTuple):
    """What was typed. `agent` names the agent to run and `task` what is asked of it; without,
    `command` is run, or what the project says. `terminal` says whether to run on a terminal,
    `limits` are texts by the words of `core.limits.OPTIONS`.
    """

    command_line: str
    workspace: str = "."
    command: tuple[str, ...] = ()
    agent: str | None = None
    task: AgentWanted | None = None
    grants: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    policy: NetworkPolicy | None = None
    env: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    allow_write: tuple[str, ...] = ()
    worktree: str | None = None
    limits: Mapping[str, str] = NOTHING
    name: str | None = None
    trust: bool = False
    dry_run: bool = False
    as_json: bool = False
    terminal: bool = False
    stdin: bool = False
    detach: bool = False
    quiet: bool = False
    unfiltered: bool = False
