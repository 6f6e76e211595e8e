"""The MCP servers a project names, with the placeholders of its grants in their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from moat.config.project import Project, RemoteServer, StdioServer
from moat.errors import ConfigError
from moat.providers.agent import AgentServer, AgentServers
from moat.providers.fields import default_format
from moat.providers.placeholder import placeholder_of


def agent_servers(
    project: Project, *, grants: Mapping[str, Mapping[str, str]], pass_on: tuple[str, ...]
) -> AgentServers:
    """The servers of a run as its agent gets them.

    `grants` maps each grant of the run to the variables that hold its placeholders; `pass_on`
    names the variables of the box that a server needs to reach anything. Raises ConfigError for a
    server whose grant the run has not got, or whose name another has.
    """
    _check_names(project)
    return AgentServers(
        {name: _stdio(name, server, grants) for name, server in project.codex.mcp.items()},
        tuple(_remote(server, grants) for server in project.mcp),
        pass_on,
    )


def grant_missing(server: str, grant: str) -> ConfigError:
    """The error for a server whose grant a run has not got."""
    return ConfigError(
        f'MCP server "{server}" requires grant "{grant}" but it was not provided',
        hint=f"add {grant} to grants in moat.yaml; what is stored: moat grant list",
    )


def _check_names(project: Project) -> None:
    names = [*project.codex.mcp, *(server.name for server in project.mcp)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f'two MCP servers have the name "{name}"',
            hint="give each its own name, under codex.mcp and under mcp",
        )


def _stdio(name: str, server: StdioServer, grants: Mapping[str, Mapping[str, str]]) -> StdioServer:
    if server.grant is None:
        return server
    if server.grant not in grants:
        raise grant_missing(name, server.grant)
    # Last: a value of the project's own would be no credential the proxy knows.
    return dataclasses.replace(server, env={**server.env, **grants[server.grant]})


def _remote(server: RemoteServer, grants: Mapping[str, Mapping[str, str]]) -> AgentServer:
    auth = server.auth
    if auth is None:
        return AgentServer(server)
    if auth.grant not in grants:
        raise grant_missing(server.name, auth.grant)
    value = default_format(auth.header).replace("{}", placeholder_of(auth.grant))
    return AgentServer(server, {auth.header: value})
