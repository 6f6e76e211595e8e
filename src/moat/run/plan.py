"""What a run will be, as a value. Pure: it is printed, compared and read in review.

`build_plan` takes what was typed, set and found, and decides; nothing is opened or made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moat.config.project import Project
from moat.config.settings import Upstream
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.engine.policy import Policy, Rule
from moat.errors import UsageError
from moat.providers.interface import AgentServers, AgentSetup, CredentialProvider, StagedFile
from moat.run.environment import SYSTEM_PATH, box_environment
from moat.run.injections import check_servers, destination_of, injections_of
from moat.run.kept import Kept
from moat.runtimes.interface import Mount
from moat.vault.credential import Facts


@dataclass(frozen=True, slots=True)
class InstalledTool:
    """A tool of this machine: where it is, where the box sees it, what of it is on PATH."""

    name: str
    version: str
    directory: Path
    path: tuple[str, ...]

    @property
    def target(self) -> str:
        """Its directory in the box."""
        return f"/opt/moat/{self.name}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: by options, project and settings, and by what is attached.

    `agent` is the setup of the agent to be run, None for a plain command; `servers` are the MCP
    servers it was set up with. `facts` are those of the providers' grants. `env` and `mounts` are
    of options and already checked, as are the project's mounts in `mounts`. `terminal` is the size
    of the terminal to run on, None for pipes. `command_line` is how the person would start this
    again, without its arguments. `protected` are names of files the box may not change.
    """

    workspace: Path
    command: tuple[str, ...]
    providers: tuple[CredentialProvider, ...]
    facts: Mapping[str, Facts]
    agent: AgentSetup | None
    agent_name: str | None
    tools: tuple[InstalledTool, ...]
    allow_options: tuple[str, ...]
    allow_settings: tuple[str, ...]
    upstream: Upstream
    environ: Mapping[str, str]
    terminal: tuple[int, int] | None
    command_line: str
    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    kept: tuple[Kept, ...] = ()
    servers: AgentServers = field(default_factory=AgentServers)
    project: Project = field(default_factory=Project)
    protected: tuple[str, ...] = ()
    mcp_json: bytes | None = None


@dataclass(frozen=True, slots=True)
class Plan:
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
    upstream: Upstream
    versions: Mapping[str, str]
    terminal: tuple[int, int] | None


def build_plan(run: str, wanted: Wanted) -> Plan:
    """Decide what a run will be.

    Raises UsageError for an option that makes no sense, ConfigError for a server that cannot be.
    """
    injections = injections_of(wanted.providers, wanted.facts)
    check_servers(wanted.servers.remote, injections)
    policy = Policy(
        tuple(_rules(wanted, injections)),
        permissive=wanted.project.network.policy == "permissive",
    )
    tool_path = [f"{tool.target}/{folder}" for tool in wanted.tools for folder in tool.path]
    return Plan(
        run=run,
        name=wanted.name or wanted.project.name,
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
            project=wanted.project.env,
            options=wanted.env,
            path=[*tool_path, SYSTEM_PATH],
            policy=policy,
        ),
        mounts=(*(Mount(tool.directory, tool.target) for tool in wanted.tools), *wanted.mounts),
        kept=wanted.kept,
        protected=wanted.protected,
        staged=wanted.agent.staged if wanted.agent else {},
        mcp_json=wanted.mcp_json,
        grants=tuple(provider.grant_ref for provider in wanted.providers),
        policy=policy,
        injections=injections,
        upstream=wanted.upstream,
        versions={tool.name: tool.version for tool in wanted.tools},
        terminal=wanted.terminal,
    )


def _rules(wanted: Wanted, injections: Iterable[Injection]) -> Iterable[Rule]:
    if wanted.agent:
        for pattern in wanted.agent.hosts:
            yield Rule(pattern, "agent")
    for injection in injections:
        yield Rule(injection.pattern, "grant")
    for text in wanted.allow_options:
        yield Rule(_pattern(text), "option")
    for text in wanted.project.network.rules:
        yield Rule(HostPattern.parse(text), "project")
    for entry in wanted.servers.remote:
        place = destination_of(entry.server.url)
        yield Rule(HostPattern(place.host, place.port), "project")
    for text in wanted.allow_settings:
        yield Rule(HostPattern.parse(text), "settings")


def _pattern(text: str) -> HostPattern:
    try:
        return HostPattern.parse(text)
    except ValueError as error:
        raise UsageError(
            f"--allow-host: {error}",
            hint="write HOST, HOST:PORT or *.DOMAIN, such as --allow-host github.com",
        ) from None
