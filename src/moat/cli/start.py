"""From a command line to a run: check everything, plan, install what is missing, launch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from moat.cli.output import say, show_error
from moat.config.paths import Home
from moat.core.ids import new_run_id
from moat.planning.asked import Asked
from moat.planning.context import Context
from moat.planning.gather import gather
from moat.run.early import Early, fork_supervisor
from moat.run.grants import open_grants
from moat.run.kept import has_sessions
from moat.run.launch import launch
from moat.run.lost import close_lost
from moat.run.part import Part
from moat.run.plan import Plan, build_plan
from moat.tools.places import is_installed
from moat.vault.store import Store


def start(context: Context, asked: Asked, early: Early | None) -> int:
    """Run to the end; the exit code. Nothing is installed or made before all was checked."""
    home = context.home
    plan = build_plan(new_run_id(), gather(context, asked))
    if asked.dry_run:
        from moat.cli.dryrun import show_plan

        open_grants(Store(home.credentials), plan.grants).refuse_in(plan)
        show_plan(plan, as_json=asked.as_json)
        return 0
    # Of those that are there it is seen that nobody else can change them.
    if missing := [tool.name for tool in plan.tools if not is_installed(tool.directory)]:
        # The supervisor opens them again; here so that a download is not made in vain.
        open_grants(Store(home.credentials), plan.grants).refuse_in(plan)
        install_tools(missing, home.root)
    close_lost(home)
    ended = launch(
        early or fork_supervisor(),
        plan,
        home,
        _part_of(plan, asked, context.settings.terminal.detach_keys),
    )
    if ended.left is not None:
        _tell_left(plan, asked, ended.left)
        return ended.code
    if asked.detach and ended.error is None:
        print(plan.run)  # it has ended at once, and how is told by `moat wait`
        return 0
    if ended.error is not None:
        show_error(ended.error)
    elif not asked.quiet and plan.terminal is not None and has_sessions(plan.kept):
        say(f"to go on with this session: {plan.command_line} --resume")
    show_receipt(home, plan.run, quiet=asked.quiet)
    return ended.code


def show_receipt(home: Home, run: str, *, quiet: bool) -> None:
    """What came of a run, to a person who did not ask for quiet; to all others only if something
    would run on this machine, or nobody can say."""
    from moat.run.record import RunDirectory
    from moat.run.unlooked import must_be_told

    directory = RunDirectory(home.runs, run)
    record = directory.read()
    if record is None:
        return
    if (quiet or not os.isatty(2)) and not must_be_told(record, directory.read_changes()):
        return
    from moat.cli.receipt import lines_of
    from moat.run.receipt import receipt_of

    for line in lines_of(receipt_of(directory, record)):
        say(line)


def _part_of(plan: Plan, asked: Asked, detach_keys: str | None) -> Part:
    return Part(
        terminal=plan.terminal is not None and not asked.detach,
        stdin=asked.stdin and not asked.detach,
        first=True,
        leaves=asked.detach,
        detach_keys=detach_keys,
        unfiltered=plan.unfiltered,
    )


def _tell_left(plan: Plan, asked: Asked, why: str) -> None:
    """Say that the run goes on; its id is data where the command line was to start it and go."""
    if asked.detach:
        print(plan.run)
        say(f"it runs in the background; to come back: moat attach {plan.run}")
    else:
        say(f"run {plan.run} goes on: {why}; to come back: moat attach {plan.run}")


def install_tools(names: Iterable[str], home: Path) -> None:
    """Install the tools of these names. Raises ToolError."""
    from moat.tools.catalogue import get_tool
    from moat.tools.install import ensure_tool
    from moat.tools.progress import progress_on

    for name in names:
        ensure_tool(get_tool(name), home=home, progress=progress_on(sys.stderr))
