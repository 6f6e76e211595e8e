"""`moat worktree`: the git work trees that runs have to themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import say, show_error, show_json, show_table
from moat.config.paths import Home
from moat.errors import MoatError, UsageError
from moat.run.finding import list_runs
from moat.run.kept import workspace_key
from moat.run.record import LIVE
from moat.workspace.git import HostGit
from moat.workspace.standins import StandIns
from moat.workspace.worktrees import Worktree, list_worktrees, remove_worktree, state_of

EPILOG = """\
examples:
  moat codex --worktree fix-login -p "fix the login"
  moat worktree list
  moat worktree clean --dry-run
"""
_WHY_KEPT = {
    "live": "a run works in it",
    "changed": "it has files that were not committed",
    "ignored": "it has files that git ignores, so no commit has them",
    "detached": "it is not on its branch",
    "gone": "its repository knows nothing of it",
}


def main(arguments: list[str]) -> int:
    """List them, or take away what nothing would be lost with."""
    parser = Parser(
        "worktree",
        "The git work trees made by --worktree. Cleaning takes away those in which everything is "
        "committed (ignored files are not) and no run lives; their branches stay.",
        usage="moat worktree list [--json]\n       "
        "moat worktree clean [BRANCH ...] [--force] [--dry-run] [--json]",
        epilog=EPILOG,
    )
    parser.add_argument("action", metavar="list|clean", help="what to do")
    parser.add_argument("branch", nargs="*", metavar="BRANCH", help="only those (all)")
    parser.add_argument(
        "--force", action="store_true", help="take away what was not committed as well"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be taken away")
    add_json(parser)
    args = parser.parse_args(arguments)
    home = find_home()
    trees = list(list_worktrees(home.worktrees))
    if args.action not in ("list", "clean"):
        raise UsageError(f"moat worktree: {args.action!r} is neither list nor clean")
    for branch in args.branch:
        if not any(tree.branch == branch for tree in trees):
            raise UsageError(f"there is no work tree of {branch!r}", hint="run: moat worktree list")
    if args.branch:
        trees = [tree for tree in trees if tree.branch in args.branch]
    looking = Looking(home, HostGit(os.environ, (home.root,))) if trees else None
    if args.action == "list":
        states = [looking.state_of(tree) for tree in trees if looking]
        _list(trees, states, as_json=args.json)
        return 0
    cleaned = Cleaned()
    for tree in trees:
        assert looking is not None
        cleaned.take(looking, tree, force=args.force, dry_run=args.dry_run)
    _show(cleaned, force=args.force, dry_run=args.dry_run, as_json=args.json)
    # Who names one wants it gone.
    return cleaned.code or int(bool(args.branch and cleaned.kept))


@dataclass(frozen=True)
class Looking:
    """What is looked at to see whether something would be lost."""

    home: Home
    git: HostGit

    @contextlib.contextmanager
    def held(self, tree: Worktree) -> Iterator[str]:
        """The state of a work tree, in which no run begins for as long as this lasts."""
        stand_ins = StandIns(self.home.workspaces / workspace_key(tree.path), tree.path)
        with stand_ins.unused() as unused:
            yield self.state_of(tree) if unused else "live"

    def state_of(self, tree: Worktree) -> str:
        """The state as it is now."""
        live = {record.workspace for record in list_runs(self.home.runs) if record.state in LIVE}
        return "live" if str(tree.path) in live else state_of(self.git, tree)


def _list(trees: list[Worktree], states: list[str], *, as_json: bool) -> None:
    if as_json:
        show_json(
            [
                {
                    "branch": tree.branch,
                    "state": state,
                    "path": str(tree.path),
                    "repository": str(tree.repository),
                }
                for tree, state in zip(trees, states, strict=True)
            ]
        )
    elif not trees:
        say("no work trees yet; to make one: moat codex --worktree BRANCH")
    else:
        rows = [
            (tree.branch, state, str(tree.repository), str(tree.path))
            for tree, state in zip(trees, states, strict=True)
        ]
        show_table(("BRANCH", "STATE", "REPOSITORY", "PATH"), rows)


@dataclass
class Cleaned:
    """What was taken away and what was kept, and the exit code."""

    removed: list[dict[str, str]] = field(default_factory=list)
    kept: list[dict[str, str]] = field(default_factory=list)
    code: int = 0

    def take(self, looking: Looking, tree: Worktree, *, force: bool, dry_run: bool) -> None:
        """Take a work tree away, unless something would be lost with it."""
        told = {"branch": tree.branch, "path": str(tree.path)}
        with looking.held(tree) as state:
            if state == "live" or (state != "clean" and not force):
                self.kept.append({**told, "why": _WHY_KEPT[state]})
                return
            try:
                if not dry_run:
                    remove_worktree(looking.git, tree)
                self.removed.append(told)
            except MoatError as error:
                show_error(error)
                self.code = 1


def _show(cleaned: Cleaned, *, force: bool, dry_run: bool, as_json: bool) -> None:
    if as_json:
        show_json({"removed": cleaned.removed, "kept": cleaned.kept})
        return
    for one in cleaned.removed:
        say(f"{'would remove' if dry_run else 'removed'} {one['path']} ({one['branch']})")
    for one in cleaned.kept:
        say(f"kept {one['path']} ({one['branch']}): {one['why']}")
    if cleaned.kept and not force:
        say("what was not committed goes with: moat worktree clean --force BRANCH")
