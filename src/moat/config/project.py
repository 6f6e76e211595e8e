"""What a project asks for: the values of moat.yaml.

Values alone: who reads a file makes them, who plans a run uses them. Reading is in
`project_schema`, the question whether the person has agreed in `accepted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moat.config.network import NetworkPolicy, NetworkRule
from moat.core.limits import Said


@dataclass(frozen=True)
class ProjectNetwork:
    """What runs of the project may reach."""

    policy: NetworkPolicy | None = None
    """None leaves it to the person's settings."""
    rules: tuple[NetworkRule, ...] = ()
    """The first that is about a host decides."""


@dataclass(frozen=True)
class ProjectMount:
    """A file or directory of the host that runs see; the source is as written in the file,
    relative to the workspace if it is not absolute and does not begin with ~/."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class StdioServer:
    """An MCP server that the agent starts in the box."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    grant: str | None = None
    """The grant whose placeholder it finds in its environment."""
    cwd: str | None = None
    """Where in the box it starts; None for the workspace."""


@dataclass(frozen=True)
class RemoteAuth:
    """The credential of a remote server: the grant, and the header it goes into."""

    grant: str
    header: str = "Authorization"


@dataclass(frozen=True)
class RemoteServer:
    """An MCP server reached over http; the credential is put in on the wire."""

    name: str
    url: str
    auth: RemoteAuth | None = None


@dataclass(frozen=True)
class CodexProject:
    """What the project says to Codex."""

    mcp: Mapping[str, StdioServer] = field(default_factory=dict)
    sync_logs: bool = True
    """Whether sessions are kept for `--resume`."""
    model: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of Codex's config.toml: tables, lists, text, numbers, booleans."""
    write_mcp_json: bool = False
    """Whether the servers are also written to `.mcp.json` in the workspace, for other programs."""


@dataclass(frozen=True)
class Project:
    """All of moat.yaml; what the file leaves out has its default."""

    name: str | None = None
    agent: str | None = None
    dependencies: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: ProjectNetwork = field(default_factory=ProjectNetwork)
    mounts: tuple[ProjectMount, ...] = ()
    limits: Said = ()
    """What runs may use up; comes before the person's settings."""
    guard: tuple[str, ...] = ()
    """Files of the workspace that runs may change although programs of the host obey them."""
    command: tuple[str, ...] = ()
    mcp: tuple[RemoteServer, ...] = ()
    codex: CodexProject = field(default_factory=CodexProject)
