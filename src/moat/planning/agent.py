"""What an agent is told for one run: the task that was typed, and what the project says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from moat.config.project import Project
from moat.pki.pack import TRUST_VARIABLES
from moat.providers.agent import AgentProvider, AgentServers, AgentSetup, AgentWanted
from moat.providers.mcp_servers import agent_servers
from moat.runtimes.interface import WORKSPACE


def set_up(
    agent: AgentProvider,
    task: AgentWanted | None,
    project: Project,
    *,
    grants: Mapping[str, Mapping[str, str]],
) -> tuple[AgentSetup, AgentServers]:
    """The setup of an agent, and the MCP servers in it; `grants` are placeholders by grant.

    Raises ConfigError.
    """
    servers = agent_servers(project, grants=grants, pass_on=TRUST_VARIABLES)
    task = task or AgentWanted(WORKSPACE)
    wanted = replace(
        task,
        model=task.model or project.codex.model,
        keep_sessions=project.codex.sync_logs,
        servers=servers,
        config=project.codex.config,
    )
    return agent.set_up(wanted), servers


def mcp_json(project: Project, grants: Mapping[str, object]) -> bytes | None:
    """`.mcp.json` for the workspace, where the project asks for it. Raises ConfigError."""
    if not project.codex.write_mcp_json:
        return None
    from moat.providers.codex import generate_mcp_config

    return generate_mcp_config(project, grants)
