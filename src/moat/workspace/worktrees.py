"""Git work trees that runs have to themselves: made, found again and taken away.

Each is one directory below Moat's own, and stands beside a note of Moat's that says what it is:
what is in the directory an agent may have written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from moat.core.redact import printable
from moat.errors import MoatError, UsageError
from moat.files import ensure_private_dir, write_atomic
from moat.workspace.git import GitFailed, HostGit
from moat.workspace.repositories import common_directory
from moat.workspace.tree import text_of

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")

State = Literal["clean", "ignored", "changed", "detached", "gone"]
"""Whether a work tree has anything that its branch does not: files that git ignores (a `.env` as
well as what a build made: nobody can tell them apart), and nothing else; others that were not
committed, or submodules; commits of no branch, or something unfinished; or whether there is nothing
any more."""

# What would have git pass over files that differ, or believe what an index says of others.
_LOOK_AGAIN = (
    ("core.untrackedCache", "false"),
    ("core.checkStat", "default"),
    ("core.trustctime", "true"),
    ("core.fileMode", "true"),
)


@dataclass(frozen=True, slots=True)
class Worktree:
    """A work tree of a branch; `repository` is the main work tree, `common` the repository's own
    directory."""

    path: Path
    branch: str
    repository: Path
    common: Path

    @property
    def note(self) -> Path:
        """Where it is written down."""
        return self.path.with_name(self.path.name + ".json")


def find_worktree(
    git: HostGit, workspace: Path, branch: str, directory: Callable[[Path], Path]
) -> Worktree:
    """Where a branch of a workspace's repository is worked on; nothing is made. `directory` says
    where those of a repository are. Raises UsageError."""
    try:
        git.ask(Path("/"), "check-ref-format", "--branch", branch)
    except GitFailed:
        raise UsageError(
            f"--worktree: {branch!r} cannot be the name of a branch",
            hint="for example: --worktree fix-login",
        ) from None
    if branch.startswith(("-", "@{")):
        raise UsageError(f"--worktree: {branch!r} is no plain name of a branch")
    top = top_of(git, workspace)
    common = _own_directory(top, workspace)
    try:
        git.ask(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitFailed:
        raise UsageError(
            f"--worktree: the repository {top} has no commit yet",
            hint="make one: git commit --allow-empty -m begin",
        ) from None
    repository = common.parent if common.name == ".git" else common
    return Worktree(directory(repository) / _name_of(branch), branch, repository, common)


def top_of(git: HostGit, workspace: Path) -> Path:
    """The work tree that a workspace is, or is a directory of. Raises UsageError."""
    try:
        return Path(git.ask(workspace, "rev-parse", "--show-toplevel").rstrip("\n"))
    except GitFailed as error:
        raise UsageError(
            f"--worktree: {workspace} is in no git repository that has files: {error}",
            hint="make one: git init, and commit something",
        ) from None


def _own_directory(top: Path, workspace: Path) -> Path:
    """The repository's own directory; only one that knows of the work tree: a file in the workspace
    may lead to any repository of the person's."""
    link = top / ".git"
    if workspace.is_relative_to(top) and not link.is_symlink():
        if link.is_dir():
            if common_directory(link) == link:
                return link
        else:
            leads = text_of(link).strip().removeprefix("gitdir:").strip()
            own = Path(os.path.normpath(top / leads))
            if leads and text_of(own / "gitdir").strip() == str(link):
                return common_directory(own)
    raise UsageError(
        f"--worktree: {top} is not a plain work tree: its .git leads elsewhere",
        hint="name the main work tree of the repository",
    )


def ensure_worktree(git: HostGit, tree: Worktree) -> bool:
    """Make it unless it is there, with its branch unless there is one; whether it was made.

    Raises MoatError where it cannot be.
    """
    known = dict(_registered(git, tree.common))
    elsewhere = [path for path, branch in known.items() if branch == tree.branch]
    if tree.path.is_dir() and not tree.path.is_symlink():
        if tree.path not in known:
            raise MoatError(
                f"{tree.path} is there, and the repository {tree.repository} knows nothing of it",
                hint="move it away, or: moat worktree clean --force",
            )
        return False
    if elsewhere and elsewhere != [tree.path]:
        raise UsageError(
            f"--worktree: the branch {tree.branch} is checked out at {elsewhere[0]}",
            hint="run there, or choose another branch",
        )
    ensure_private_dir(tree.path.parent)
    try:
        git.ask(tree.common, "show-ref", "--verify", "--quiet", f"refs/heads/{tree.branch}")
        what = [str(tree.path), tree.branch]
    except GitFailed:
        what = ["-b", tree.branch, str(tree.path), "HEAD"]
    document = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(tree).items()
    }
    write_atomic(tree.note, json.dumps(document).encode() + b"\n", mode=0o600)
    # Locked: in a box its path is another, and git would take it for one that is gone. Twice
    # forced: it may have been removed by hand.
    force = ["--force", "--force"] if tree.path in known else []
    try:
        git.ask(
            tree.repository if tree.repository.is_dir() else tree.common,
            *("worktree", "add", "--quiet", "--lock", "--no-guess-remote", *force, *what),
            off=git.without_filters(tree.common),
        )
    except GitFailed as error:
        tree.note.unlink(missing_ok=True)
        raise MoatError(
            f"git cannot make a work tree of {tree.branch}: {error}", hint="run: git worktree list"
        ) from None
    return True


def list_worktrees(directory: Path) -> Iterator[Worktree]:
    """Those that were made below Moat's directory of them."""
    for note in sorted(directory.glob("*/*.json")):
        try:
            said = json.loads(note.read_bytes())
            tree = Worktree(
                note.with_suffix(""), said["branch"], Path(said["repository"]), Path(said["common"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        yield tree


def state_of(git: HostGit, tree: Worktree) -> State:
    """What would be lost with it. Its branch is not: that stays."""
    try:
        known = dict(_registered(git, tree.common))
        if tree.path not in known or not tree.path.is_dir():
            return "gone"
        if known[tree.path] != tree.branch:
            return "detached"
        if _own_directory(tree.path, tree.path) != tree.common:
            return "changed"
        entries = git.ask(tree.path, "ls-files", "--stage", "-v", "-z").split("\0")
        # Git is not to look into submodules, and does not look at what is flagged: assume-unchanged
        # (a small letter) or skip-worktree (S), of which a sparse work tree has no file.
        if any(_hides(tree.path, entry) for entry in entries if entry):
            return "changed"
        said = git.ask(
            tree.path,
            *("status", "--porcelain", "-z", "--ignore-submodules=all"),
            *("--untracked-files=normal", "--ignored=traditional"),
            off=[*git.without_filters(tree.path), *_LOOK_AGAIN],
        )
    except UsageError:
        return "changed"  # whatever it is now
    except GitFailed:
        return "gone"
    if not said:
        return "clean"
    return (
        "ignored" if all(line.startswith("!!") for line in said.split("\0") if line) else "changed"
    )


def _hides(top: Path, entry: str) -> bool:
    """Whether an entry of an index may stand for something else than what git says of it."""
    facts, _, path = entry.partition("\t")
    tag, mode = facts.split()[:2]
    flagged = tag.islower() or tag == "S"
    return mode == "160000" or (flagged and os.path.lexists(top / path))


def remove_worktree(git: HostGit, tree: Worktree) -> None:
    """Take it away with all that is in it; its branch stays. Raises MoatError."""
    try:
        git.ask(tree.common, "worktree", "remove", "--force", "--force", str(tree.path))
    except GitFailed as error:
        if tree.common.is_dir() and tree.path in dict(_registered(git, tree.common)):
            raise MoatError(f"{tree.path} cannot be removed: {printable(str(error))}") from None
    if tree.path.is_dir() and not tree.path.is_symlink():
        shutil.rmtree(tree.path)
    tree.note.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        tree.path.parent.rmdir()


def _registered(git: HostGit, common: Path) -> Iterator[tuple[Path, str | None]]:
    """The work trees that a repository knows of, and the branch of each."""
    for entry in git.ask(common, "worktree", "list", "--porcelain").split("\n\n"):
        lines = dict(line.partition(" ")[::2] for line in entry.splitlines())
        if "worktree" in lines:
            branch = lines.get("branch")
            yield (
                Path(lines["worktree"]),
                branch.removeprefix("refs/heads/") if branch else None,
            )


def _name_of(branch: str) -> str:
    """The branch itself where it is plain, else something readable that no other branch has."""
    if _PLAIN.fullmatch(branch) and not branch.endswith(".json"):
        return branch
    digest = hashlib.sha256(branch.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{_UNFIT.sub('-', branch)[:40].strip('-.')}-{digest}"
