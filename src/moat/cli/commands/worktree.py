"""`moat worktree`: the git work trees that runs have to themselves."""

from __future__ import annotations

import os

from moat.cli.options import Parser, add_json, find_home
from moat.cli.output import say, show_error, show_json, show_table
from moat.errors import MoatError, UsageError
from moat.run.finding import list_runs
from moat.run.record import LIVE
from moat.workspace.git import HostGit
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
    "detached": "it is not on its branch",
    "gone": "its repository knows nothing of it",
}


def main(arguments: list[str]) -> int:
    """List them, or take away what nothing would be lost with."""
    parser = Parser(
        "worktree",
        "The git work trees made by --worktree. Cleaning takes away those in which everything is "
        "committed and no run lives; their branches stay.",
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
    live = {record.workspace for record in list_runs(home.runs) if record.state in LIVE}
    git = HostGit(os.environ, (home.root,)) if trees else None
    states = ["live" if str(tree.path) in live else state_of(git, tree) for tree in trees if git]
    if args.action == "list":
        _list(trees, states, as_json=args.json)
        return 0
    assert git is not None or not trees
    return _clean(git, trees, states, args.force, args.dry_run, args.json)


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


def _clean(
    git: HostGit | None,
    trees: list[Worktree],
    states: list[str],
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    removed, kept, code = [], [], 0
    for tree, state in zip(trees, states, strict=True):
        if state == "live" or (state != "clean" and not force):
            kept.append({"branch": tree.branch, "path": str(tree.path), "why": _WHY_KEPT[state]})
            continue
        if not dry_run:
            assert git is not None
            try:
                remove_worktree(git, tree)
            except MoatError as error:
                show_error(error)
                code = 1
                continue
        removed.append({"branch": tree.branch, "path": str(tree.path)})
    if as_json:
        show_json({"removed": removed, "kept": kept})
        return code
    for one in removed:
        say(f"{'would remove' if dry_run else 'removed'} {one['path']} ({one['branch']})")
    for one in kept:
        say(f"kept {one['path']} ({one['branch']}): {one['why']}")
    if kept and not force:
        say("what was not committed goes with: moat worktree clean --force BRANCH")
    return code
