"""What was typed to start a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.config.network import NetworkPolicy
    from moat.providers.agent import AgentWanted


@dataclass(frozen=True, slots=True)
class Asked:
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
    limits: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    trust: bool = False
    dry_run: bool = False
    as_json: bool = False
    terminal: bool = False
    stdin: bool = False
    detach: bool = False
    unfiltered: bool = False
