"""The git repositories of a workspace, and what of each git on the host obeys.

Git itself is never asked: it would obey what it is asked about.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal, NamedTuple

from moat.workspace.executed import BARE_NEEDS
from moat.workspace.gitconfig import Reference, references, settings_of
from moat.workspace.known import NOTHING_KNOWN, Known
from moat.workspace.tree import TooMuch, directories, look_up, mode_of, text_of

# How much of a workspace is looked through for repositories, before a run starts: directories, as
# files cost little. Where an earlier search came to its end, a run may have put there what keeps
# this one from it, so it takes its time.
MOST_DIRECTORIES = 30_000
MOST_SECONDS = 0.15
MOST_SECONDS_FILLED = 3.0
_MOST_FILES = 64  # of settings that include each other
_MOST_DEPTH = 8  # of submodules whose names have slashes

Missing = Literal["socket", "file", "itself", "directory"]
"""What stands in for something that is not there: a socket, which git and editors do not see; for
what git reads, an empty file, one that says "the directory it is in", or an empty directory."""


class Want(NamedTuple):
    """A place that may not change, below the root that is looked at. `missing` says what stands in
    for it while it is not there; without, it may appear."""

    path: str
    missing: Missing | None = None


class Repository(NamedTuple):
    """A repository's own directory, which may be outside (an absolute path), and the directory of
    the files it is about."""

    directory: str
    work: str | None

    @property
    def is_outside(self) -> bool:
        """Whether it is elsewhere, so that the box does not see it as part of the root."""
        return self.directory.startswith("/")


class Search(NamedTuple):
    """All repositories with files below a root, the places of `.git` files and links that lead to
    some, the directories where a repository begins, and whether all of the root was looked through.
    """

    repositories: list[Repository]
    wants: list[Want]
    places: tuple[str, ...]
    complete: bool


def find_repositories(root: Path, known: Known = NOTHING_KNOWN) -> Search:
    """Look for repositories, first where earlier runs have found some."""
    found: dict[str, Repository] = {}
    wants: list[Want] = []
    places: dict[str, None] = {}

    def look(here: str, names: AbstractSet[str]) -> None:
        if here in places:
            return
        if ".git" in names:
            places[here] = None
            prefix = here + "/" if here else ""
            for repository in _behind(root, prefix + ".git", here, wants):
                found.setdefault(repository.directory, repository)
        if names >= set(BARE_NEEDS):
            places[here] = None
            found.setdefault(here, Repository(here, None))

    for here in known.places:
        place = look_up(root, here)
        if not place.links and place.mode is not None and stat.S_ISDIR(place.mode):
            signs = (".git", *BARE_NEEDS)
            look(here, {name for name in signs if mode_of(root / here / name) is not None})
    seconds = MOST_SECONDS_FILLED if known.complete else MOST_SECONDS
    complete = True
    try:
        for here, names in directories(root, most=MOST_DIRECTORIES, seconds=seconds):
            look(here, names)
    except TooMuch:
        complete = False
    return Search(list(found.values()), wants, tuple(places), complete)


def _behind(root: Path, path: str, work: str, wants: list[Want]) -> Iterator[Repository]:
    """The repositories that a `.git` leads to: its own, and its submodules'."""
    place = look_up(root, path)
    wants += (Want(link) for link in place.links)
    if place.end is None or place.mode is None:
        return
    if stat.S_ISREG(place.mode):
        wants.append(Want(place.end))
        leads = text_of(root / place.end).strip().removeprefix("gitdir:").strip()
        above = place.end.rpartition("/")[0]
        place = look_up(root, leads if leads.startswith("/") else f"{above}/{leads}")
        wants += (Want(link) for link in place.links)
        if place.end is None:
            yield Repository(str(common_directory(root / above / leads)), work)
            return
    if not place.end or place.mode is None or not stat.S_ISDIR(place.mode):
        return
    if mode_of(root / place.end / "HEAD") is None:
        wants.append(Want(place.end))  # none yet: nobody makes one of it
        return
    yield Repository(place.end, work)
    yield from _modules(root, place.end + "/modules", _MOST_DEPTH)


def common_directory(directory: Path) -> Path:
    """Where the settings are of what is in a repository's own directory, or a work tree's."""
    leads = text_of(directory / "commondir").rstrip("\r\n")
    return Path(os.path.normpath(directory / leads)) if leads else directory


def _modules(root: Path, above: str, depth: int) -> Iterator[Repository]:
    for name in _directories_in(root / above):
        here = f"{above}/{name}"
        if mode_of(root / here / "HEAD") is None:
            if depth:
                yield from _modules(root, here, depth - 1)
            continue
        yield Repository(here, None)
        if depth:
            yield from _modules(root, here + "/modules", depth - 1)


def wants_of(root: Path, repository: Repository) -> Iterator[Want]:
    """What git obeys of a repository below a root."""
    prefix = repository.directory + "/" if repository.directory else ""
    yield Want(prefix + "config", "file")
    yield Want(prefix + "config.worktree", "file")
    yield Want(prefix + "commondir", "itself")
    yield Want(prefix + "hooks", "directory")
    for name in _directories_in(root / f"{prefix}worktrees"):
        here = f"{prefix}worktrees/{name}"
        yield Want(here + "/commondir", "file")
        yield Want(here + "/config.worktree", "file")
        yield Want(here + "/gitdir")
        # A box does not see work trees that are elsewhere: to git they are gone, unless locked.
        yield Want(here + "/locked", "file")


def referred_to(
    root: Path, repository: Repository, environ: Mapping[str, str]
) -> Iterator[tuple[Reference, str]]:
    """What the settings of a repository lead to, the person's own settings among them, with the
    path as it is to be looked up from the root."""
    home = Path(environ.get("HOME") or "/nowhere")
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    directory = root / repository.directory if repository.directory else root
    waiting = [Path("/etc/gitconfig"), own / "git/config", home / ".gitconfig"]
    waiting += [directory / "config", directory / "config.worktree"]
    read: set[Path] = set()
    while waiting and len(read) < _MOST_FILES:
        file = waiting.pop(0)
        if file in read:
            continue
        read.add(file)
        # The person's own may well be behind a link; of a workspace's, the target is guarded.
        for reference in references(settings_of(text_of(file.resolve()))):
            path = reference.path
            if path.startswith("~/"):
                path = str(home / path[2:])
            if reference.kind == "include":
                path = os.path.normpath(file.parent / path)
                waiting.append(Path(path))
            elif not path.startswith("/"):
                base = repository.directory if repository.work is None else repository.work
                path = f"{base}/{path}" if base else path
            yield reference, path


def _directories_in(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
