"""The step of a run that keeps the box from changing what programs of the host run or obey."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from moat.config.paths import Home
from moat.run.kept import workspace_key
from moat.run.plan import Plan
from moat.runtimes.interface import Guard
from moat.workspace.guards import guard_workspace
from moat.workspace.standins import StandIns


@dataclass(frozen=True, slots=True)
class Guarded:
    """What is guarded: for `box_spec`; what was made for that, which is no change of the run's; and
    what could not be guarded, in words, for the receipt."""

    guards: tuple[Guard, ...]
    stand_ins: frozenset[str]
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def guarded(plan: Plan, home: Home) -> Iterator[Guarded]:
    """Decide what is guarded and make what must be there for it; taken away behind the last run of
    the workspace. Must be entered before the box is made, and left when it is gone."""
    directory = home.root / "workspaces" / workspace_key(plan.workspace)
    with StandIns(directory, plan.workspace).used_by(plan.run) as stand_ins:
        found = guard_workspace(plan.workspace, allowed=plan.allow_write, environ=os.environ)
        stand_ins.make(found.stand_ins)
        notes = [f"{path} leads git to all of its directory" for path in found.open_to]
        if not found.complete:
            notes.append("the workspace is large: it was not searched for repositories to its end")
        yield Guarded(found.guards, stand_ins.paths, tuple(notes))


def git_environment(guards: tuple[Guard, ...]) -> dict[str, str]:
    """Variables for git in a box whose settings of a repository cannot be changed: it would stop
    in the midst of making a branch, when it cannot write down which other one that follows."""
    if not any(guard.path.rpartition("/")[2] == "config" for guard in guards):
        return {}
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "branch.autoSetupMerge",
        "GIT_CONFIG_VALUE_0": "false",
    }
