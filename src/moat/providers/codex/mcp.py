"""The project's MCP servers in the form of `.mcp.json`, which many programs read.

Codex itself does not: it gets its servers in config.toml.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moat.config.project import Project, StdioServer
from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER, PROXY_INJECTED_PLACEHOLDER
from moat.providers.mcp_servers import grant_missing

# The variable a server finds each grant's placeholder in. OpenAI's clients look at its form.
_VARIABLES = {
    "anthropic": ("ANTHROPIC_API_KEY", PROXY_INJECTED_PLACEHOLDER),
    "github": ("GITHUB_TOKEN", PROXY_INJECTED_PLACEHOLDER),
    "openai": ("OPENAI_API_KEY", OPENAI_API_KEY_PLACEHOLDER),
}


@dataclass(frozen=True, slots=True)
class MCPServer:
    """One server that is started as a program."""

    command: str
    """The program, by path or by name."""
    args: tuple[str, ...] = ()
    """Its arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables it is given; placeholders, and no secret."""
    cwd: str | None = None
    """Where it starts; None for wherever the reader of the file does."""

    def _document(self) -> dict[str, Any]:
        document = {
            "command": self.command,
            "args": list(self.args),
            "env": dict(self.env),
            "cwd": self.cwd,
        }
        # The command is there even where it is empty: without it there is no server.
        return {key: value for key, value in document.items() if value or key == "command"}


@dataclass(frozen=True, slots=True)
class MCPConfig:
    """All of `.mcp.json`."""

    mcp_servers: Mapping[str, MCPServer] = field(default_factory=dict)
    """The servers by name."""

    def to_json(self) -> bytes:
        """The file's content, indented by two; what is empty in a server is left out."""
        servers = {name: server._document() for name, server in self.mcp_servers.items()}
        return json.dumps({"mcpServers": servers}, indent=2).encode() + b"\n"


def generate_mcp_config(project: Project, grants: Iterable[str]) -> bytes | None:
    """`.mcp.json` for the servers under codex.mcp, None if there are none.

    A server's grant must be one of `grants`, or ConfigError is raised; its placeholder stands in
    the variable that clients of it read, in the place of whatever the project put there. A grant
    without such a variable adds none.
    """
    if not project.codex.mcp:
        return None
    given = frozenset(grants)
    servers = {name: _server(name, server, given) for name, server in project.codex.mcp.items()}
    return MCPConfig(servers).to_json()


def _server(name: str, server: StdioServer, grants: frozenset[str]) -> MCPServer:
    env = dict(server.env)
    if server.grant is not None:
        if server.grant not in grants:
            raise grant_missing(name, server.grant)
        if server.grant in _VARIABLES:
            variable, placeholder = _VARIABLES[server.grant]
            env[variable] = placeholder
    return MCPServer(server.command, server.args, env, server.cwd)
