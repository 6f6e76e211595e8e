"""The git work tree of `--worktree`: found or made, and what a run on it sees besides."""

from __future__ import annotations

import os
from pathlib import Path

from moat.errors import UsageError
from moat.planning.context import Context
from moat.run.kept import workspace_key
from moat.run.workspace import Guarded, why_too_much
from moat.runtimes.interface import HOME, WORKSPACE, Mount
from moat.workspace.git import HostGit
from moat.workspace.standins import StandIns
from moat.workspace.worktrees import Worktree, ensure_worktree, find_worktree, top_of

# Where a box has something else.
_TAKEN = (WORKSPACE, HOME, "/bin", "/dev", "/etc", "/lib", "/lib64", "/moat", "/opt/moat", "/proc",
          "/sbin", "/sys", "/usr")  # fmt: skip


def open_worktree(
    context: Context, workspace: Path, branch: str, *, guarded: Guarded, make: bool
) -> tuple[Worktree, Mount]:
    """The work tree of a branch, and the mount of its repository. Raises MoatError."""
    home = context.home
    git = HostGit(os.environ, (workspace, home.root))
    tree = find_worktree(git, workspace, branch, lambda top: home.worktrees / workspace_key(top))
    if reason := why_too_much(tree.common, guarded):
        raise UsageError(f"--worktree: the repository {tree.common} is refused: {reason}")
    for taken in map(Path, _TAKEN):
        if tree.common.is_relative_to(taken):
            raise UsageError(
                f"--worktree: the box has something else at {taken}, where the repository is",
                hint="run without --worktree, or move the repository",
            )
    if (top := top_of(git, workspace)) != workspace:
        there = workspace.relative_to(top)
        context.tell(
            f"note: {workspace} is a directory of the repository {top}: the run has a work tree of "
            f"all of it, and begins at its top; there this directory is {there}"
        )
    if make:
        with StandIns(home.workspaces / workspace_key(tree.path), tree.path).unused():
            made = ensure_worktree(git, tree)  # not while another command takes it away
        if made:
            context.tell(f"made a work tree of {tree.branch}: {tree.path}")
    # At its path of this machine, which is what the work tree's .git says.
    return tree, Mount(tree.common, str(tree.common), writable=True, judged=True)
