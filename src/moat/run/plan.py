"""What a run will be, as a value. Pure: it is printed, compared and read in review.

`build_plan` takes what was typed, set and found, and decides; nothing is opened or made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moat.config.settings import Upstream
from moat.core.hosts import HostPattern
from moat.core.limits import Limits
from moat.core.nothing import NOTHING
from moat.engine.inject import Injection
from moat.engine.placeholder import Placeholder
from moat.engine.policy import Policy
from moat.errors import UsageError
from moat.run.environment import SYSTEM_PATH, box_environment
from moat.run.injections import (
    check_servers,
    destination_of,
    injections_of,
    path_rules,
    placeholders_of,
)
from moat.run.policy import NetworkWanted, build_policy
from moat.runtimes.interface import Mount

if TYPE_CHECKING:  # none of it is needed to run a plain command
    from moat.providers.agent import AgentServer, AgentSetup, StagedFile
    from moat.providers.interface import CredentialProvider
    from moat.run.kept import Kept
    from moat.vault.credential import Facts


class InstalledTool(NamedTuple):
    """A tool of this machine: where it is, where the box sees it, what of it is on PATH."""

    name: str
    version: str
    directory: Path
    path: tuple[str, ...]

    @property
    def target(self) -> str:
        """Its directory in the box."""
        return f"/opt/moat/{self.name}"


class Wanted(NamedTuple):
    """What was asked for: by options, project and settings, and by what is attached.

    `agent` is the setup of the agent to be run, None for a plain command; `servers` are the remote
    MCP servers it was set up with. `facts` are those of the providers' grants. `env` is of options,
    what begins with `project_` of the project, `mounts` of both, and checked. `terminal` is the
    size of the terminal to run on, None for pipes. `command_line` is how the person would start
    this again, without its arguments. `protected` are names of files the box may not change.
    `git_directory` is that of the repository which the workspace is a work tree of, where it is
    mounted. `ask_timeout` is how many seconds a request waits for the person's answer, `limits`
    are what the run may use up. `allow_write` are files of the workspace that the host obeys and
    the box may change all the same.
    """

    workspace: Path
    command: tuple[str, ...]
    upstream: Upstream
    environ: Mapping[str, str]
    terminal: tuple[int, int] | None
    command_line: str
    providers: tuple[CredentialProvider, ...] = ()
    facts: Mapping[str, Facts] = NOTHING
    agent: AgentSetup | None = None
    agent_name: str | None = None
    tools: tuple[InstalledTool, ...] = ()
    network: NetworkWanted = NetworkWanted()
    name: str | None = None
    env: Mapping[str, str] = NOTHING
    mounts: tuple[Mount, ...] = ()
    kept: tuple[Kept, ...] = ()
    servers: tuple[AgentServer, ...] = ()
    project_env: Mapping[str, str] = NOTHING
    protected: tuple[str, ...] = ()
    mcp_json: bytes | None = None
    ask_timeout: int = 120
    unfiltered: bool = False
    allow_write: tuple[str, ...] = ()
    git_directory: Path | None = None
    limits: Limits = Limits()


class Plan(NamedTuple):
    """One run, decided.

    `kept` are directories that outlive it; `mcp_json` is written to the workspace if there is any.
    """

    run: str
    name: str | None
    command_line: str
    agent: str | None
    workspace: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    kept: tuple[Kept, ...]
    protected: tuple[str, ...]
    staged: Mapping[str, tuple[StagedFile, ...]]
    mcp_json: bytes | None
    grants: tuple[str, ...]
    policy: Policy
    injections: tuple[Injection, ...]
    placeholders: tuple[Placeholder, ...]
    upstream: Upstream
    tools: tuple[InstalledTool, ...]
    terminal: tuple[int, int] | None
    ask_timeout: int
    allow_write: tuple[str, ...]
    git_directory: Path | None
    limits: Limits
    unfiltered: bool

    @property
    def versions(self) -> dict[str, str]:
        """Of each tool, by name."""
        return {tool.name: tool.version for tool in self.tools}


def build_plan(run: str, wanted: Wanted) -> Plan:
    """Decide what a run will be.

    Raises UsageError for an option that makes no sense, ConfigError for a server that cannot be.
    """
    if wanted.command and "=" in wanted.command[0]:
        # As for `env`, which starts it: that would be a variable.
        raise UsageError(
            f"{wanted.command[0]!r} cannot be the name of a program",
            hint="variables are set with --env, or by a shell: moat run -- sh -c '…'",
        )
    injections = injections_of(wanted.providers, wanted.facts)
    check_servers(wanted.servers, injections)
    policy = build_policy(
        wanted.network,
        agent=wanted.agent.hosts if wanted.agent else (),
        grants=(injection.pattern for injection in injections if injection.path is None),
        paths_of_grants=path_rules(injections),
        servers=map(_pattern_of, wanted.servers),
    )
    tool_path = [f"{tool.target}/{folder}" for tool in wanted.tools for folder in tool.path]
    return Plan(
        run=run,
        name=wanted.name,
        command_line=wanted.command_line,
        agent=wanted.agent_name,
        workspace=wanted.workspace,
        command=wanted.agent.command if wanted.agent else wanted.command,
        environment=box_environment(
            wanted.environ,
            placeholders=[
                provider.container_env(wanted.facts[provider.grant_ref])
                for provider in wanted.providers
            ],
            project=wanted.project_env,
            options=wanted.env,
            path=[*tool_path, SYSTEM_PATH],
            policy=policy,
            registries=wanted.network.registries,
        ),
        mounts=(*(Mount(tool.directory, tool.target) for tool in wanted.tools), *wanted.mounts),
        kept=wanted.kept,
        protected=wanted.protected,
        staged=wanted.agent.staged if wanted.agent else {},
        mcp_json=wanted.mcp_json,
        grants=tuple(provider.grant_ref for provider in wanted.providers),
        policy=policy,
        injections=injections,
        placeholders=placeholders_of(wanted.providers, wanted.facts),
        upstream=wanted.upstream,
        tools=wanted.tools,
        terminal=wanted.terminal,
        ask_timeout=wanted.ask_timeout,
        allow_write=wanted.allow_write,
        git_directory=wanted.git_directory,
        limits=wanted.limits,
        unfiltered=wanted.unfiltered,
    )


def _pattern_of(entry: AgentServer) -> HostPattern:
    place = destination_of(entry.server.url)
    return HostPattern(place.host, place.port)
