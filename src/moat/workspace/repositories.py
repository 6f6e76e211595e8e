"""The git repositories of a workspace, and what of each git on the host obeys.

Git itself is never asked: it would obey what it is asked about.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal, NamedTuple

from moat.workspace.executed import BARE_NEEDS
from moat.workspace.gitconfig import Reference, references, settings_of
from moat.workspace.known import NOTHING_KNOWN, Known
from moat.workspace.tree import (
    Closed,
    TooMuch,
    directories,
    look_up,
    mode_of,
    parents,
    seen,
    text_of,
)

# How much of a workspace is looked through for repositories, before a run starts: directories, as
# files cost little. Where an earlier search came to its end, a run may have put there what keeps
# this one from it, so it takes its time.
MOST_DIRECTORIES = 30_000
MOST_SECONDS = 0.15
MOST_SECONDS_FILLED = 3.0
_MOST_FILES = 64  # of settings that include each other
_MOST_DEPTH = 8  # of submodules in submodules, and of their names' slashes
_OF_BARE = {*BARE_NEEDS, "config"}
_HEAD = re.compile(r"ref:|[0-9a-f]{40}")
_SHARING = {"HEAD", "commondir"}  # make one of what is in another directory

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
    """All repositories with files below a root, what else is to be guarded (the places of `.git`
    files, links that lead to some, what is closed), the directories where a repository begins, the
    bare ones among them, and whether all of the root was looked through."""

    repositories: list[Repository]
    wants: list[Want]
    places: tuple[str, ...]
    bare: tuple[str, ...]
    complete: bool


def find_repositories(root: Path, known: Known = NOTHING_KNOWN) -> Search:
    """Look for repositories, first where earlier runs have found some. Raises Closed."""
    found: dict[Repository, None] = {}
    wants: list[Want] = []
    places: dict[str, None] = {}
    bare: dict[str, None] = {}

    def look(here: str, names: AbstractSet[str]) -> None:
        if here in places:
            return
        if ".git" in names:
            places[here] = None
            found.update(dict.fromkeys(_behind(root, _join(here, ".git"), here, wants)))
        # A run can take one apart, and the next one put it together again.
        is_one = names >= set(BARE_NEEDS) or (names >= _SHARING and is_head(root / here / "HEAD"))
        if is_one or (here in known.bare and names & _OF_BARE):
            places[here] = bare[here] = None
            found.update(dict.fromkeys(_own(root, here, None, wants)))

    for here in known.places:
        place = look_up(root, here)
        if not place.links and place.mode is not None and stat.S_ISDIR(place.mode):
            directory = seen(root / here)
            signs = (".git", "commondir", *_OF_BARE)
            look(here, {name for name in signs if mode_of(directory / name) is not None})
    seconds = MOST_SECONDS_FILLED if known.complete else MOST_SECONDS
    complete = True
    try:
        for here, names in directories(root, most=MOST_DIRECTORIES, seconds=seconds):
            if names is None:
                wants.append(Want(here))  # as it is, nobody opens it
            else:
                look(here, names)
    except TooMuch:
        complete = False
    return Search(list(found), wants, tuple(places), tuple(bare), complete)


def repositories_at(root: Path, signs: Iterable[str]) -> tuple[list[Repository], list[Want]]:
    """The repositories that files and directories called `.git` or `HEAD` are of, and what else git
    is led to by them. What is closed is left out."""
    found: dict[Repository, None] = {}
    wants: list[Want] = []
    for sign in signs:
        here, _, name = sign.rpartition("/")
        with contextlib.suppress(Closed):
            if name == ".git":
                for one in _behind(root, sign, here, wants):
                    found[one] = None
            elif here.rpartition("/")[2] != ".git" and is_head(root / sign):
                for one in _own(root, here, None, wants):
                    found[one] = None
    return list(found), wants


def is_head(path: Path) -> bool:
    """Whether git would take it for what makes a directory a repository."""
    return stat.S_ISLNK(mode_of(path) or 0) or _HEAD.match(text_of(path)) is not None


def repositories_of(directory: Path) -> tuple[list[Repository], list[Want]]:
    """The repositories that are in a repository's own directory, itself ("") first, and what else
    in there is to be guarded. Raises Closed."""
    wants: list[Want] = []
    return list(_own(seen(directory), "", None, wants)), wants


def _behind(root: Path, path: str, work: str, wants: list[Want]) -> Iterator[Repository]:
    """The repositories that a `.git` leads to: its own, and its submodules'."""
    place = look_up(root, path)
    wants += (Want(link) for link in place.links)
    if place.end is None:
        return
    if place.mode is None:
        wants += _to_come(root, place.end)
        return
    if stat.S_ISREG(place.mode):
        wants.append(Want(place.end))
        leads = text_of(seen(root / place.end)).strip().removeprefix("gitdir:").strip()
        above = place.end.rpartition("/")[0]
        place = look_up(root, _led(above, leads))
        wants += (Want(link) for link in place.links)
        if place.end is None:
            # What a work tree has alone, and what it shares.
            own = Path(os.path.normpath(root / above / leads))
            both = (own, common_directory(own))
            yield from (Repository(str(one), work) for one in dict.fromkeys(both))
            return
    if place.end and place.mode is None:
        wants += _to_come(root, place.end)
    if not place.end or place.mode is None or not stat.S_ISDIR(place.mode):
        return
    if mode_of(seen(root / place.end / "HEAD")) is None:
        wants.append(Want(place.end))  # none yet: nobody makes one of it
        return
    yield from _own(root, place.end, work, wants)


def _to_come(root: Path, path: str) -> Iterator[Want]:
    """What git is led to and is not there: nobody makes a repository of it. Where nothing can
    appear before something else is gone, there is nothing to guard."""
    above = ("", *parents(path))
    names = path.split("/")
    if (
        ".." in names
        or len(names) > _MOST_DEPTH * 2
        or any(len(os.fsencode(n)) > 255 for n in names)
    ):
        return
    modes = [mode for mode in (mode_of(root / one) for one in above) if mode is not None]
    if all(map(stat.S_ISDIR, modes)):
        yield Want(path, "socket")


def common_directory(directory: Path) -> Path:
    """Where the settings are of what is in a repository's own directory, or a work tree's."""
    leads = text_of(directory / "commondir").rstrip("\r\n")
    return Path(os.path.normpath(directory / leads)) if leads else directory


def _own(
    root: Path, here: str, work: str | None, wants: list[Want], depth: int = _MOST_DEPTH
) -> Iterator[Repository]:
    """The repositories that are in a repository's own directory: itself, that which it shares with
    other work trees, and the submodules of each."""
    yield Repository(here, work)
    yield from _modules(root, here, wants, depth)
    leads = text_of(seen(root / here / "commondir")).rstrip("\r\n")
    common = look_up(root, _led(here, leads))
    if not leads or common.end == here:
        return
    wants += (Want(link) for link in common.links)
    if common.end is None:
        yield Repository(os.path.normpath(root / here / leads), work)
    elif common.mode is not None and stat.S_ISDIR(common.mode):
        yield Repository(common.end, work)
        yield from _modules(root, common.end, wants, depth)
    elif common.mode is None:
        wants += _to_come(root, common.end)


def _modules(root: Path, here: str, wants: list[Want], depth: int) -> Iterator[Repository]:
    """The submodules of a repository, and of its work trees."""
    trees = _join(here, "worktrees")
    above = [here, *(_join(trees, name) for name in _look_into(root / trees).directories)]
    for one in above:
        for name in _look_into(root / one / "modules").directories:
            yield from _module(root, _join(one, f"modules/{name}"), wants, depth)


def _module(root: Path, here: str, wants: list[Want], depth: int) -> Iterator[Repository]:
    """A submodule, or those in a directory whose name is a part of theirs."""
    inside = _look_into(root / here)
    is_one = "HEAD" in inside.others
    if not depth or (inside.others and not is_one):
        wants.append(Want(here))  # what has files and is none has been one, or is to be
    elif is_one:
        yield from _own(root, here, None, wants, depth - 1)
    else:
        for name in inside.directories:
            yield from _module(root, _join(here, name), wants, depth - 1)


def wants_of(root: Path, repository: Repository) -> Iterator[Want]:
    """What git obeys of a repository below a root. Raises Closed."""
    prefix = repository.directory + "/" if repository.directory else ""
    yield Want(prefix + "config", "file")
    yield Want(prefix + "config.worktree", "file")
    yield Want(prefix + "commondir", "itself")
    yield Want(prefix + "hooks", "directory")
    for name in _look_into(root / f"{prefix}worktrees").directories:
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
    path as it is to be looked up from the root. Raises Closed."""
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
        if file.is_relative_to(root):
            seen(file)
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


class _Inside(NamedTuple):
    """What is in a directory, sorted: directories, also behind links, and what else."""

    directories: list[str]
    others: list[str]


def _look_into(path: Path) -> _Inside:
    inside = _Inside([], [])
    try:
        with os.scandir(seen(path)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                (inside.directories if entry.is_dir() else inside.others).append(entry.name)
    except OSError:
        return _Inside([], [])
    return inside


def _join(here: str, name: str) -> str:
    return f"{here}/{name}" if here else name


def _led(here: str, leads: str) -> str:
    """A path as it is to be looked up from the root, of what is said in a directory."""
    return leads if leads.startswith("/") else _join(here, leads)
