"""Codex's `config.toml` as values: no questions at the start, and no host but the API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from moat.config.project import StdioServer
from moat.providers.agent import AgentServer, AgentServers, AgentWanted
from moat.providers.codex.own_keys import with_own_keys


@dataclass(frozen=True, slots=True)
class Analytics:
    """Would be sent to chatgpt.com when Codex ends."""

    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Features:
    """What Codex does besides working; each is on unless it is said here."""

    api_key_model_discovery: bool = False
    """Asks chatgpt.com."""
    plugins: bool = False
    """Asks GitHub."""
    daemon_auto_start: bool = False
    """Would outlive the terminal and copy itself."""
    unbounded_connection_retries: bool = False
    """Would wait for a dead network for ever."""


@dataclass(frozen=True, slots=True)
class ShellEnvironment:
    """What of its environment Codex hands on; less than all would lose the proxy and the CA."""

    inherit: str = "all"


@dataclass(frozen=True, slots=True)
class Trust:
    """Spares the question whether a directory is trusted: it is in a box."""

    trust_level: str = "trusted"


@dataclass(frozen=True, slots=True)
class StdioEntry:
    """An MCP server that Codex starts: from an environment of its own, hence `env_vars`."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    env_vars: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """An MCP server reached over http."""

    url: str
    http_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodexSettings:
    """All that Moat settles."""

    approval_policy: str
    sandbox_mode: str
    model: str | None
    projects: Mapping[str, Trust]
    mcp_servers: Mapping[str, StdioEntry | RemoteEntry]
    check_for_update_on_startup: bool = False
    cli_auth_credentials_store: str = "file"
    analytics: Analytics = Analytics()
    features: Features = Features()
    shell_environment_policy: ShellEnvironment = ShellEnvironment()


def config_toml(wanted: AgentWanted) -> bytes:
    """`config.toml` for one run, plain keys before tables.

    Raises ConfigError for a key of the project's that Moat settles, or that TOML cannot hold.
    """
    document = with_own_keys(_table(codex_settings(wanted)), wanted.config)
    return b"# Written by Moat for this run.\n" + tomli_w.dumps(document).encode()


def codex_settings(wanted: AgentWanted) -> CodexSettings:
    """What Moat settles for one run."""
    return CodexSettings(
        # The box is the sandbox. A second one inside would cut tools off from the proxy.
        approval_policy="never" if wanted.yolo else "on-request",
        sandbox_mode="danger-full-access" if wanted.yolo else "workspace-write",
        model=wanted.model,
        projects={wanted.workspace: Trust()},
        mcp_servers=_servers(wanted.servers),
    )


def _servers(servers: AgentServers) -> dict[str, StdioEntry | RemoteEntry]:
    stdio = {name: _stdio(server, servers.pass_on) for name, server in servers.stdio.items()}
    remote = {entry.server.name: _remote(entry) for entry in servers.remote}
    return {**stdio, **remote}


def _stdio(server: StdioServer, pass_on: tuple[str, ...]) -> StdioEntry:
    # What the server sets itself is not taken from the box as well.
    names = tuple(name for name in pass_on if name not in server.env)
    return StdioEntry(server.command, server.args, server.env, server.cwd, names)


def _remote(entry: AgentServer) -> RemoteEntry:
    return RemoteEntry(entry.server.url, entry.headers)


def _table(value: Any) -> dict[str, Any]:
    """A dataclass as a table, without what is None or empty."""
    pairs = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: _plain(item) for name, item in pairs.items() if item not in (None, (), {})}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _table(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
