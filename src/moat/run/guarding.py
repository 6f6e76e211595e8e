"""The step of a run that keeps the box from changing what programs of the host run or obey."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from moat.config.paths import Home
from moat.errors import MoatError
from moat.run.kept import workspace_key
from moat.run.plan import Plan
from moat.runtimes.interface import WORKSPACE, Guard
from moat.workspace.before import Held, Ignored
from moat.workspace.guards import Guarding, guard_common, guard_workspace
from moat.workspace.known import add_known, read_known
from moat.workspace.standins import StandIns
from moat.workspace.tree import parents


class Guarded(NamedTuple):
    """What is guarded: for `box_spec`; what was made for that below a root and is still there,
    which is no change of the run's; what of a root the run cannot move; and what is not guarded, or
    was not to the end, in words, for the receipt."""

    guards: tuple[Guard, ...]
    stand_ins: Ignored
    held: Callable[[Path], Held]
    notes: Callable[[], tuple[str, ...]]


@contextlib.contextmanager
def guarded(plan: Plan, home: Home) -> Iterator[Guarded]:
    """Decide what is guarded and make what must be there for it; taken away behind the last run of
    the workspace. Must be entered before the box is made, and left when it is gone."""
    with contextlib.ExitStack() as stack:
        users: dict[Path, StandIns] = {}

        def used(place: Path) -> StandIns:
            stand_ins = StandIns(home.workspaces / workspace_key(place), place)
            users[place] = stack.enter_context(stand_ins.used_by(plan.run))
            return stand_ins

        made = used(plan.workspace)
        # Looked at once it is marked as used: what cleans up takes away none that is.
        if not plan.workspace.is_dir():
            raise MoatError(
                f"the workspace {plan.workspace} was removed as the run began",
                hint="start the run again",
            )
        notebook = home.workspaces / workspace_key(plan.workspace)
        found = guard_workspace(
            plan.workspace,
            allowed=plan.allow_write,
            environ=os.environ,
            known=read_known(notebook),
        )
        add_known(notebook, found.places, complete=found.complete, bare=found.bare)
        made.make(found.stand_ins)
        guards = found.guards
        notes = [*_notes(found)]
        if plan.git_directory is not None:
            common = used(plan.git_directory)
            further = guard_common(
                plan.git_directory,
                allowed=plan.allow_write,
                environ=os.environ,
            )
            common.make(further.stand_ins)
            guards += further.guards
            notes += _notes(further, plan.git_directory)
        began = _identities(plan.workspace, guards)
        yield Guarded(
            guards,
            lambda place: users[place].all_paths,
            lambda place: {
                one.path: identity[1]
                for one, identity in began.items()
                if one.root == place and identity is not None
            },
            lambda: (*notes, *_lost(plan.workspace, began, _identities(plan.workspace, guards))),
        )


def _notes(found: Guarding, below: Path = Path()) -> Iterator[str]:
    for path in found.open_to:
        yield f"git is led to {below / path}, which is not guarded: all of it would be"
    if not found.complete:
        yield "the workspace is large: not all of it was searched for repositories"
    if not found.all_names:
        yield "the workspace is large: not all further names of guarded files were found"


class _Place(NamedTuple):
    root: Path
    path: str


_Identities = Mapping[_Place, tuple[int, int] | None]
"""Which files there are, by device and inode."""


def _identities(workspace: Path, guards: Iterable[Guard]) -> _Identities:
    """Those that the guards are of."""
    found: dict[_Place, tuple[int, int] | None] = {}
    for guard in guards:
        place = _Place(workspace if guard.root == WORKSPACE else Path(guard.root), guard.path)
        try:
            status = Path(*place).lstat()
            found[place] = (status.st_dev, status.st_ino)
        except OSError:
            found[place] = None
    return found


def _lost(workspace: Path, began: _Identities, now: _Identities) -> Iterator[str]:
    """The guards that went with what they were of: from outside of the box that can be."""
    lost = {
        place.path if place.root == workspace else str(Path(*place))
        for place, identity in began.items()
        if now[place] != identity
    }
    for path in sorted(path for path in lost if lost.isdisjoint(parents(path))):
        yield f"{path} was replaced or removed from outside of the box, and its guard went with it"


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
