"""From a command line to a run: check everything, install what is missing, plan, launch."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from moat.cli.options import Context
from moat.cli.output import say, show_error
from moat.core.ids import new_run_id
from moat.errors import GrantError
from moat.providers.interface import AgentSetup, CredentialProvider
from moat.providers.registry import get_provider
from moat.run.grants import open_grants
from moat.run.launch import launch
from moat.run.plan import InstalledTool, Wanted, build_plan
from moat.run.workspace import resolve_workspace
from moat.tools.catalogue import get_tool
from moat.tools.install import ensure_tool, find_installed
from moat.vault.store import Store


def start(
    context: Context,
    *,
    workspace: str,
    command_line: str,
    grants: Iterable[str],
    allow: Iterable[str],
    command: tuple[str, ...] = (),
    agent: AgentSetup | None = None,
    agent_name: str | None = None,
    terminal: bool,
    stdin: bool,
) -> int:
    """Run to the end; the exit code. Nothing is installed or made before all was checked."""
    home = context.home
    path = resolve_workspace(
        workspace, user_homes=_user_homes(), moat_home=home.root, own_code=_own_code()
    )
    if path != Path(os.path.abspath(Path(workspace).expanduser())):  # noqa: PTH100  # follows no link
        # What an earlier run left behind may lead somewhere else than its name says.
        say(f"note: the workspace {workspace} is behind a link: {path}")
    store = Store(home.credentials)
    providers = find_grants(store, grants)
    wanted = Wanted(
        workspace=path,
        command=command,
        providers=providers,
        agent=agent,
        agent_name=agent_name,
        tools=(),
        allow_options=tuple(allow),
        allow_settings=context.settings.network.allow,
        upstream=context.settings.upstream,
        environ=os.environ,
        terminal=_terminal_size() if terminal else None,
        command_line=command_line,
    )
    run = new_run_id()
    build_plan(run, wanted)  # an option that makes no sense is told before a long download
    if agent is not None and agent.tools:
        from dataclasses import replace

        if any(find_installed(get_tool(name), home.root) is None for name in agent.tools):
            # The supervisor opens them again; here so that a download is not made in vain.
            open_grants(store, [provider.grant_ref for provider in providers])
        wanted = replace(wanted, tools=install_tools(agent.tools, home.root))
    ended = launch(build_plan(run, wanted), home, stdin=stdin)
    if ended.error is not None:
        show_error(ended.error)
    return ended.code


def find_grants(store: Store, names: Iterable[str]) -> tuple[CredentialProvider, ...]:
    """The providers of grants, each once; every grant must be stored. Raises GrantError."""
    providers = {provider.grant_ref: provider for provider in map(get_provider, names)}
    for ref in providers:
        if not store.has(ref):
            raise GrantError(f"there is no grant for {ref}", hint=f"run: moat grant {ref}")
    return tuple(providers.values())


def install_tools(names: Iterable[str], home: Path) -> tuple[InstalledTool, ...]:
    """The tools of these names, installed if they are not. Raises ToolError."""
    from moat.tools.progress import progress_on

    installed = []
    for name in names:
        tool = get_tool(name)
        directory = ensure_tool(tool, home=home, progress=progress_on(sys.stderr))
        installed.append(InstalledTool(tool.name, tool.version, directory, tool.path))
    return tuple(installed)


def at_a_terminal() -> bool:
    """Whether a person sits at both ends: their keys come in, their screen shows what goes out."""
    return os.isatty(0) and os.isatty(1) and in_the_foreground()


def in_the_foreground() -> bool:
    """Whether the terminal is ours now: started with `&`, whoever reads it is stopped."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def stdin_is_piped() -> bool:
    """Whether something was piped into standard input, or a file given as it."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _terminal_size() -> tuple[int, int]:
    size = os.get_terminal_size(0)
    return (size.lines or 24, size.columns or 80)


def _own_code() -> list[Path]:
    """Everything that is loaded when Moat starts: its program, its Python, its libraries."""
    import moat

    assert moat.__file__ is not None
    places = [moat.__file__, sys.executable, sys.prefix, sys.base_prefix, *sys.path]
    return [Path(place) for place in (places[0] and Path(places[0]).parent, *places[1:]) if place]


def _user_homes() -> list[Path]:
    """The person's home directory: as the environment says, and as the system does."""
    import pwd

    homes = [Path(os.environ.get("HOME", ""))]
    with contextlib.suppress(KeyError):
        homes.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    return [home for home in homes if home.is_absolute()]
