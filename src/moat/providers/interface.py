"""What a provider is: whom we log in to, and what an agent of theirs needs in a box.

Nearly everything a provider says is a value; the run carries it out. So a provider can be read
in one sitting and tested without a box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

from moat.config.project import RemoteServer, StdioServer
from moat.config.settings import Upstream
from moat.core.finding import Finding
from moat.core.hosts import HostPattern
from moat.vault.credential import Credential, Facts

# whom we log in to


@dataclass(frozen=True, slots=True)
class GrantOption:
    """An option of `moat grant NAME` that a provider has: `--organization ID` is
    GrantOption("organization", "ID", "…")."""

    name: str
    metavar: str
    help: str


@dataclass(frozen=True, slots=True)
class GrantIO:
    """How a provider asks: the environment, and a prompt whose answer is not shown.

    `ask` is None where there is nobody to ask. `validate` is false where the provider must not
    be asked whether the credential is good. `options` are those of the provider's `grant_options`
    that were given, by name.
    """

    environ: Mapping[str, str]
    upstream: Upstream
    ask: Callable[[str], str] | None
    validate: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Granted:
    """A credential just acquired, with what the person should know about it."""

    credential: Credential
    source: str
    warnings: tuple[str, ...] = ()


class ProxyConfigurer(Protocol):
    """What a provider tells the proxy. The secret itself never comes by here."""

    def inject(
        self,
        pattern: HostPattern,
        header: str,
        *,
        format: str = "{}",  # the word for it
        strips: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Put the credential into `header` of requests to a host, in the place of `{}`.

        `strips` names further headers in which a client could bring a credential of its own;
        `headers` are set besides, and are no secret.
        """
        ...


@dataclass(frozen=True, slots=True)
class MountConfig:
    """A file or directory of the host, and where the box sees it."""

    source: Path
    target: str
    read_only: bool = True


@runtime_checkable
class CredentialProvider(Protocol):
    """Whom we log in to. `grant_ref` is the canonical id of the grant, the same in every lookup."""

    name: str
    grant_ref: str
    description: str
    grant_options: tuple[GrantOption, ...]

    def grant(self, io: GrantIO) -> Granted:
        """Get a credential from the person, checked with the provider. Raises GrantError."""
        ...

    def configure_proxy(self, proxy: ProxyConfigurer, facts: Facts) -> None:
        """Say where the credential goes."""
        ...

    def container_env(self, facts: Facts) -> Mapping[str, str]:
        """Variables that hold placeholders, so that programs find themselves logged in."""
        ...

    def container_mounts(self, facts: Facts, container_home: str) -> tuple[MountConfig, ...]:
        """What of the host the credential needs in the box."""
        ...

    def implied_dependencies(self) -> tuple[str, ...]:
        """Dependencies that come with the credential."""
        ...

    def cleanup(self, path: Path) -> None:
        """Give back what `container_mounts` made."""
        ...


# the program that is run


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


class DoctorSectionProtocol(Protocol):
    """A part of what `moat doctor` shows."""

    name: str

    def findings(self) -> list[Finding]:
        """What was found. Changes nothing; shows no part of a secret."""
        ...

    def print(self, file: IO[str]) -> None:
        """The findings for a person to read."""
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
