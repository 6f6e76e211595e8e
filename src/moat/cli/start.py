"""From a command line to a run: check everything, install what is missing, plan, launch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from moat.cli.options import Context
from moat.cli.output import say, show_error
from moat.cli.places import guarded_places
from moat.cli.project import open_project
from moat.config.project import Project, ProjectMount
from moat.core.ids import new_run_id
from moat.errors import GrantError, UsageError
from moat.providers.interface import AgentProvider, AgentServers, AgentWanted, CredentialProvider
from moat.providers.mcp_servers import agent_servers
from moat.providers.registry import get_agent, get_provider
from moat.run.dependencies import meet
from moat.run.environment import CA_VARIABLES, PROXY_VARIABLES
from moat.run.grants import open_grants
from moat.run.kept import check_resumable, kept_directories
from moat.run.launch import launch
from moat.run.mounts import parse_mount, resolve_mounts
from moat.run.plan import InstalledTool, Wanted, build_plan
from moat.run.record import LIVE, list_runs
from moat.run.workspace import resolve_workspace
from moat.runtimes.interface import WORKSPACE
from moat.tools.catalogue import get_tool
from moat.tools.install import ensure_tool, find_installed
from moat.tools.places import tools_dir
from moat.vault.store import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed. `agent` names the agent to run and `task` what is asked of it; without,
    `command` is run, or the project's own. `terminal` is None where that depends on the command.
    """

    command_line: str
    workspace: str = "."
    command: tuple[str, ...] = ()
    agent: str | None = None
    task: AgentWanted = field(default_factory=lambda: AgentWanted(WORKSPACE))
    grants: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    name: str | None = None
    trust: bool = False
    dry_run: bool = False
    as_json: bool = False
    terminal: bool = False
    stdin: bool = False


def start(context: Context, asked: Asked) -> int:
    """Run to the end; the exit code. Nothing is installed or made before all was checked."""
    home = context.home
    wanted, tools = _wanted(context, asked)
    run = new_run_id()
    plan = build_plan(run, wanted)  # what makes no sense is told before a long download
    if asked.dry_run:
        from moat.cli.dryrun import show_plan

        show_plan(plan, as_json=asked.as_json)
        return 0
    if any(find_installed(get_tool(name), home.root) is None for name in tools):
        # The supervisor opens them again; here so that a download is not made in vain.
        open_grants(Store(home.credentials), plan.grants).refuse_in(plan)
        install_tools(tools, home.root)
    ended = launch(plan, home, stdin=asked.stdin)
    if ended.error is not None:
        show_error(ended.error)
    return ended.code


def _wanted(context: Context, asked: Asked) -> tuple[Wanted, tuple[str, ...]]:
    """Everything a plan is made of, checked; and the tools it needs."""
    home = context.home
    guarded = guarded_places(home.root)
    workspace = resolve_workspace(asked.workspace, guarded=guarded)
    if workspace != Path(os.path.abspath(Path(asked.workspace).expanduser())):  # noqa: PTH100  # follows no link
        # What an earlier run left behind may lead somewhere else than its name says.
        say(f"note: the workspace {asked.workspace} is behind a link: {workspace}")
    project, protected = open_project(context, workspace, trust=asked.trust, dry_run=asked.dry_run)
    asked = _completed(asked, project)
    agent = get_agent(asked.agent) if asked.agent else None
    store = Store(home.credentials)
    own = (agent.grant_ref,) if agent else ()
    providers = find_grants(store, (*own, *project.grants, *asked.grants))
    facts = {provider.grant_ref: store.describe(provider.grant_ref) for provider in providers}
    placeholders = {
        provider.grant_ref: provider.container_env(facts[provider.grant_ref])
        for provider in providers
    }
    servers = AgentServers()
    if agent:
        pass_on = (*PROXY_VARIABLES, *CA_VARIABLES)
        servers = agent_servers(project, grants=placeholders, pass_on=pass_on)
    setup = agent.set_up(_task(asked.task, project, servers)) if agent else None
    kept = kept_directories(setup.kept if setup else {}, workspace=workspace, moat_home=home.root)
    if asked.task.resume:
        check_resumable(kept)
    tools = tuple(dict.fromkeys((*(setup.tools if setup else ()), *meet(project.dependencies))))
    wanted = Wanted(
        workspace=workspace,
        command=asked.command,
        providers=providers,
        facts=facts,
        agent=setup,
        agent_name=asked.agent,
        tools=tuple(_tool(name, home.root) for name in tools),
        allow_options=asked.allow,
        allow_settings=context.settings.network.allow,
        upstream=context.settings.upstream,
        environ=os.environ,
        terminal=_terminal_size() if asked.terminal and not asked.dry_run else None,
        command_line=asked.command_line,
        name=_free_name(asked.name, home.runs),
        env=_variables(asked.env, os.environ),
        mounts=resolve_mounts(_mounts(asked, project), workspace=workspace, guarded=guarded),
        kept=kept,
        servers=servers,
        project=project,
        protected=protected,
        mcp_json=_mcp_json(agent, project, placeholders),
    )
    return wanted, tools


def _completed(asked: Asked, project: Project) -> Asked:
    """What was typed, with what the project says where nothing was."""
    if asked.agent or asked.command:
        return asked
    if project.command:
        return replace(asked, command=project.command)
    if project.agent:
        if not asked.terminal:
            raise UsageError(
                f"{project.agent} wants a terminal to talk to you, and there is none",
                hint=f'give it a task: moat {project.agent} -p "explain this codebase"',
            )
        return replace(asked, agent=project.agent)
    raise UsageError(
        "there is no command to run",
        hint="put the command after two dashes: moat run -- npm test",
    )


def _task(task: AgentWanted, project: Project, servers: AgentServers) -> AgentWanted:
    codex = project.codex
    return replace(
        task,
        model=task.model or codex.model,
        keep_sessions=codex.sync_logs,
        servers=servers,
        config=codex.config,
    )


def _mcp_json(agent: AgentProvider | None, project: Project, grants: Iterable[str]) -> bytes | None:
    if agent is None or not project.codex.write_mcp_json:
        return None
    from moat.providers.codex import generate_mcp_config

    return generate_mcp_config(project, grants)


def _mounts(asked: Asked, project: Project) -> list[tuple[str, ProjectMount]]:
    options = [("--mount", parse_mount(text)) for text in asked.mounts]
    # What is typed is seen from where it is typed; what the project says, from the project.
    typed = [
        (who, replace(item, source=str(Path.cwd() / Path(item.source).expanduser())))
        for who, item in options
    ]
    return [*typed, *(("mounts in moat.yaml", item) for item in project.mounts)]


def _variables(given: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`NAME=VALUE`, or `NAME` for the value it has here. Raises UsageError."""
    variables = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not name.isascii():
            raise UsageError(
                f"--env: {name!r} is no name of a variable",
                hint="write NAME=VALUE, or NAME for the value it has here",
            )
        if not equals and name not in environ:
            raise UsageError(f"--env: {name} is not set here", hint=f"write {name}=VALUE")
        variables[name] = value if equals else environ[name]
    return variables


def _free_name(name: str | None, runs: Path) -> str | None:
    if name is None:
        return None
    from moat.config.project_schema import is_run_name
    from moat.core.ids import is_run_id_prefix

    if not is_run_name(name) or (is_run_id_prefix(name) and len(name) == 10):
        raise UsageError(
            f"--name: {name!r} is no name: small letters, digits and -, at most 41 characters",
            hint="for example: --name fix-login",
        )
    for record in list_runs(runs):
        if record.name == name and record.state in LIVE:
            raise UsageError(
                f"--name: run {record.run} is called {name}, and goes on", hint="choose another"
            )
    return name


def find_grants(store: Store, names: Iterable[str]) -> tuple[CredentialProvider, ...]:
    """The providers of grants, each once; every grant must be stored. Raises GrantError."""
    providers = {provider.grant_ref: provider for provider in map(get_provider, names)}
    for ref in providers:
        if not store.has(ref):
            raise GrantError(f"there is no grant for {ref}", hint=f"run: moat grant {ref}")
    return tuple(providers.values())


def _tool(name: str, home: Path) -> InstalledTool:
    """A tool where it is, or where it will be."""
    tool = get_tool(name)
    directory = tools_dir(home) / tool.name / tool.version
    return InstalledTool(tool.name, tool.version, directory, tool.path)


def install_tools(names: Iterable[str], home: Path) -> None:
    """Install the tools of these names that are not installed. Raises ToolError."""
    from moat.tools.progress import progress_on

    for name in names:
        ensure_tool(get_tool(name), home=home, progress=progress_on(sys.stderr))


def _terminal_size() -> tuple[int, int]:
    size = os.get_terminal_size(0)
    return (size.lines or 24, size.columns or 80)
