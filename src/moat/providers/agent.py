"""What an agent is: a program that is run in a box, and what it needs there, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from moat.config.project import RemoteServer, StdioServer
from moat.core.hosts import HostPattern
from moat.providers.interface import MountConfig


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file put in place in the box at its start; mode as for `chmod`."""

    name: str
    content: bytes
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class AgentServer:
    """A remote MCP server with what the agent sends it: placeholders, by header."""

    server: RemoteServer
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentServers:
    """The MCP servers of a run. In `stdio`, `env` is complete: a grant's placeholder is in it.

    `pass_on` names the variables of the box (proxy, CA) that a server started by the agent
    needs to reach anything.
    """

    stdio: Mapping[str, StdioServer] = field(default_factory=dict)
    remote: tuple[AgentServer, ...] = ()
    pass_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentWanted:
    """What is asked of an agent for one run.

    `workspace` is its path in the box. `prompt` is the task, None for a person at a terminal,
    whose first words may be `opening`. `resume` is the id of an earlier session, "last", or None.
    `yolo` is false where the agent's own approvals and sandbox are wanted. `config` has further
    keys of the agent's own settings.
    """

    workspace: str
    prompt: str | None = None
    opening: str | None = None
    resume: str | None = None
    model: str | None = None
    yolo: bool = True
    keep_sessions: bool = True
    servers: AgentServers = field(default_factory=AgentServers)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """What an agent needs: its command, tools, hosts, staged files, and what outlives the run.

    `tools` are names of Moat's catalogue; `staged` maps a name to the files that become
    `~/.NAME` in the box; `kept` maps a directory below the home in the box to its name below
    $MOAT_HOME, where each workspace has one of its own.
    """

    command: tuple[str, ...]
    tools: tuple[str, ...] = ()
    hosts: tuple[HostPattern, ...] = ()
    staged: Mapping[str, tuple[StagedFile, ...]] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What `prepare_container` is given; `directory` is where staging directories are made."""

    directory: Path
    wanted: AgentWanted
    container_home: str


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """A prepared container: its environment and mounts; `cleanup` removes `staging_dir`."""

    env: Mapping[str, str]
    mounts: tuple[MountConfig, ...]
    staging_dir: Path
    cleanup: Callable[[], None]


class CommandTable(Protocol):
    """The words a person can type."""

    def add(self, name: str, help: str, module: str) -> None:  # as argparse has it
        """Add a command: one line about it, and the module whose `main(arguments)` it is."""
        ...


@runtime_checkable
class AgentProvider(Protocol):
    """An agent that can be run."""

    name: str
    grant_ref: str

    def set_up(self, wanted: AgentWanted) -> AgentSetup:
        """What the agent needs for one run, as values. Raises ConfigError."""
        ...

    def prepare_container(self, options: PrepareOptions) -> ContainerConfig:
        """Make a staging directory with what `set_up` says is staged."""
        ...

    def register_cli(self, root: CommandTable) -> None:
        """Add the agent's commands."""
        ...
