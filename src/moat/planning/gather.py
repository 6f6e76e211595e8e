"""Everything a run is planned from, checked: what was typed, what the project says, what is stored.

Nothing is made here but a git work tree that was asked for, and what most runs do not need is not
imported.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moat.core.limits import Limits, Said, default_limits, merged
from moat.errors import GrantError, UsageError
from moat.planning.asked import Asked
from moat.planning.context import Context
from moat.planning.network import wanted_network
from moat.planning.places import guarded_places
from moat.planning.project import Opened, open_project
from moat.run.kept import check_resumable, kept_directories
from moat.run.plan import InstalledTool, Wanted
from moat.run.workspace import resolve_workspace
from moat.runtimes.interface import HOME, Mount
from moat.vault.store import Store

if TYPE_CHECKING:
    from moat.config.project import Project
    from moat.providers.interface import CredentialProvider


def gather(context: Context, asked: Asked) -> Wanted:
    """What is wanted of a run. Raises MoatError for whatever keeps it from being planned."""
    home = context.home
    guarded = guarded_places(home.root)
    workspace = resolve_workspace(asked.workspace, guarded=guarded)
    if workspace != Path(os.path.abspath(Path(asked.workspace).expanduser())):  # noqa: PTH100  # follows no link
        # What an earlier run left behind may lead somewhere else than its name says.
        context.tell(f"note: the workspace {asked.workspace} is behind a link: {workspace}")
    tree = repository = None
    read = workspace
    if asked.worktree is not None:
        from moat.planning.trees import open_worktree

        tree, repository = open_worktree(
            context, workspace, asked.worktree, guarded=guarded, make=not asked.dry_run
        )
        workspace = tree.path
        # What is only shown is not made: it would begin as what the repository has now.
        read = workspace if workspace.is_dir() else read
    opened = open_project(context, read, trust=asked.trust, dry_run=asked.dry_run)
    project = opened.project if opened else None
    if opened:
        from moat.planning.project_check import check_project

        has = Store(home.credentials).has
        check_project(opened, workspace=read, guarded=guarded, has=has)
    asked = _completed(asked, project)
    if asked.allow_write:
        _tell_of_allowed(context, asked, read, tree.common if tree else None)
    wanted = Wanted(
        workspace=workspace,
        command=asked.command,
        agent_name=asked.agent,
        network=wanted_network(context, asked, opened, workspace),
        upstream=context.settings.upstream,
        environ=os.environ,
        terminal=_terminal_size() if asked.terminal and not asked.dry_run else None,
        command_line=asked.command_line,
        ask_timeout=context.settings.network.ask_timeout,
        limits=_limits(context, asked, project),
        unfiltered=asked.unfiltered or not context.settings.terminal.filter,
        allow_write=_allow_write(context, asked, project),
    )
    if asked.env or asked.mounts or asked.name is not None or project:
        from moat.planning import typed

        wanted = wanted._replace(
            name=typed.free_name(asked.name, home.runs) if asked.name is not None else None,
            env=typed.variables(asked.env, os.environ),
            mounts=typed.mounts(
                asked.mounts,
                project.mounts if project else (),
                workspace=workspace,
                guarded=guarded,
            ),
        )
    if tree and repository:
        # Last: what would lie below it is covered.
        wanted = wanted._replace(git_directory=tree.common, mounts=(*wanted.mounts, repository))
    if project:
        wanted = wanted._replace(
            name=wanted.name or project.name,
            project_env=project.env,
            protected=(opened.file.name,) if opened else (),
        )
    return _with_grants(context, asked, opened, wanted)


def _with_grants(context: Context, asked: Asked, opened: Opened | None, wanted: Wanted) -> Wanted:
    """The same with its grants, and with its agent, which may need them."""
    project = opened.project if opened else None
    agent = None
    if asked.agent:
        from moat.providers.registry import get_agent

        agent = get_agent(asked.agent)
    own = (agent.grant_ref,) if agent else ()
    store = Store(context.home.credentials)
    names = (*own, *(project.grants if project else ()), *asked.grants)
    urls = {entry.auth.grant: entry.url for entry in project.mcp if entry.auth} if project else {}
    providers = find_grants(store, names, urls=urls)
    facts = {provider.grant_ref: store.describe(provider.grant_ref) for provider in providers}
    needs = [*(project.dependencies if project else ())]
    mounts = [*wanted.mounts]
    for provider in providers:
        needs += provider.implied_dependencies()
        for item in provider.container_mounts(facts[provider.grant_ref], HOME):
            mounts.append(Mount(item.source, item.target, writable=not item.read_only))
    wanted = wanted._replace(providers=providers, facts=facts, mounts=tuple(mounts))
    placeholders = {
        provider.grant_ref: provider.container_env(facts[provider.grant_ref])
        for provider in providers
    }
    if opened:
        from moat.planning.project_check import check_variables

        check_variables(opened, placeholders)
    if agent:
        from moat.config.project import Project as Nothing
        from moat.planning.agent import mcp_json, set_up

        said = project or Nothing()
        with opened.told_at(asked.agent or "") if opened else contextlib.nullcontext():
            setup, servers = set_up(agent, asked.task, said, grants=placeholders)
        home = context.home.root
        kept = kept_directories(setup.kept, workspace=wanted.workspace, moat_home=home)
        if asked.task and asked.task.resume:
            check_resumable(kept)
        needs = [*setup.tools, *needs]
        wanted = wanted._replace(
            agent=setup,
            servers=servers.remote,
            kept=kept,
            mcp_json=mcp_json(said, placeholders),
        )
    return wanted._replace(tools=_tools(needs, context.home.root)) if needs else wanted


def _completed(asked: Asked, project: Project | None) -> Asked:
    """What was typed, with what the project says where nothing was."""
    if asked.agent or asked.command:
        return asked
    if project and project.command:
        return asked._replace(command=project.command)
    if project and project.agent:
        if not asked.terminal and not asked.dry_run:
            raise UsageError(
                f"{project.agent} wants a terminal to talk to you, and there is none",
                hint=f'give it a task: moat {project.agent} -p "explain this codebase"',
            )
        return asked._replace(agent=project.agent)
    raise UsageError(
        "there is no command to run",
        hint="put the command after two dashes: moat run -- npm test",
    )


def find_grants(
    store: Store, names: Iterable[str], *, urls: Mapping[str, str]
) -> tuple[CredentialProvider, ...]:
    """The providers of grants, each once; every grant must be stored. Raises GrantError.

    `urls` are those of the servers that a project wants grants for.
    """
    providers = {}
    for name in names:
        from moat.planning.stored import provider_of

        provider = provider_of(store, name)
        providers[provider.grant_ref] = provider
    for ref in providers:
        if not store.has(ref):
            words = ref
            if ref.startswith("mcp:"):
                words = f"{ref} --url {shlex.quote(urls.get(ref, 'URL'))}"
            elif ref.startswith("header:"):
                words = f"{ref.replace(':', ' ')} --host HOST"
            from moat.planning.stored import what_is_stored

            hint = f"run: moat grant {words}"
            if (stored := what_is_stored(store)).startswith("stored"):
                hint = f"{stored}; to store it, {hint}"
            raise GrantError(f"there is no grant for {ref}", hint=hint)
    return tuple(providers.values())


def _tools(needs: Iterable[str], home: Path) -> tuple[InstalledTool, ...]:
    """Those of some dependencies that Moat installs, where they are or where they will be.

    That the others are there was seen by `check_project`.
    """
    from moat.tools.catalogue import find_tool
    from moat.tools.places import tools_dir

    found = {}
    for need in needs:
        tool = find_tool(need.partition("@")[0])
        if tool is not None:
            directory = tools_dir(home) / tool.name / tool.version
            found[tool.name] = InstalledTool(tool.name, tool.version, directory, tool.path)
    return tuple(found.values())


def _allow_write(context: Context, asked: Asked, project: Project | None) -> tuple[str, ...]:
    """What may be changed of what is guarded: as options, the project and the person's settings
    say together."""
    typed: tuple[str, ...] = ()
    if asked.allow_write:
        from moat.planning.typed import guarded_paths

        typed = guarded_paths(asked.allow_write)
    said = project.guard if project else ()
    return tuple(dict.fromkeys((*typed, *said, *context.settings.guard)))


def _tell_of_allowed(context: Context, asked: Asked, workspace: Path, common: Path | None) -> None:
    """Tell of what was allowed in vain: a run goes on, and the person believes otherwise."""
    from moat.planning.allowing import without_effect
    from moat.planning.typed import guarded_paths
    from moat.run.kept import workspace_key
    from moat.workspace.known import read_known

    for text in without_effect(
        guarded_paths(asked.allow_write),
        workspace,
        common=common,
        environ=os.environ,
        known=read_known(context.home.workspaces / workspace_key(workspace)),
    ):
        context.tell(text)


def _limits(context: Context, asked: Asked, project: Project | None) -> Limits:
    """What the run may use up: what was typed comes first, then the project, then the settings."""
    typed: Said = ()
    if asked.limits:
        from moat.planning.typed import limits

        typed = limits(asked.limits)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    defaults = default_limits(host_memory=memory, host_files=files)
    said = project.limits if project else ()
    found = merged(defaults, context.settings.limits, said, typed)
    if found.cpus is not None:
        from moat.planning.holding import check_processors

        check_processors(found)
    return found


def _terminal_size() -> tuple[int, int]:
    size = os.get_terminal_size(0)
    return (size.lines or 24, size.columns or 80)
