"""What of a workspace a run may not change: decided by looking, before the box is made."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from moat.runtimes.interface import WORKSPACE, Guard
from moat.workspace.executed import BARE_NEEDS, NEVER_ALLOWED, UNITS, why_executed
from moat.workspace.inside import Inside
from moat.workspace.known import NOTHING_KNOWN, Known
from moat.workspace.repositories import (
    Missing,
    Repository,
    Want,
    find_repositories,
    referred_to,
    repositories_of,
    wants_of,
)
from moat.workspace.tree import Found, look_up, mode_of, parents, seen


class StandIn(NamedTuple):
    """Something to be made where nothing is, for as long as a run lasts."""

    path: str
    kind: Missing


class Guarding(NamedTuple):
    """What is to be guarded below a root, and what must be made for it first.

    `complete` says whether all of the root was looked through for repositories, which begin at
    `places` (`bare` ones among them), and `all_names` whether it was for further names of what is
    guarded; `open_to` are places that should be guarded and cannot, as all of the workspace would
    be.
    """

    guards: tuple[Guard, ...] = ()
    stand_ins: tuple[StandIn, ...] = ()
    complete: bool = True
    open_to: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    all_names: bool = True


def guard_workspace(
    root: Path,
    *,
    allowed: Iterable[str] = (),
    environ: Mapping[str, str],
    known: Known = NOTHING_KNOWN,
) -> Guarding:
    """What to guard of a workspace, a real path; `known` is what earlier runs have found. Nothing
    is changed. Raises MoatError where a closed directory keeps it from being seen."""
    free = tuple(path for path in allowed if path not in NEVER_ALLOWED)
    search = find_repositories(seen(root), known)
    found, wants = search.repositories, [*search.wants, *_units(free)]
    if mode_of(root / ".git") is None:
        wants.append(Want(".git", "directory"))
    if all(repository.directory for repository in found):
        wants += _no_repository_itself(root)
    decided = _decide(root, found, wants, free, environ)
    return decided._replace(complete=search.complete, places=search.places, bare=search.bare)


def guard_common(
    directory: Path, *, allowed: Iterable[str] = (), environ: Mapping[str, str]
) -> Guarding:
    """What to guard of a repository's own directory that is mounted at its path of the host, for a
    work tree elsewhere. Raises MoatError as `guard_workspace` does."""
    found, wants = repositories_of(directory)
    free = tuple(
        path.removeprefix(".git").removeprefix("/") for path in allowed if _is_below(path, ".git")
    )
    return _decide(directory, found, wants, free, environ, root=str(directory))


def _decide(
    place: Path,
    found: list[Repository],
    wants: list[Want],
    free: tuple[str, ...],
    environ: Mapping[str, str],
    *,
    root: str = WORKSPACE,
) -> Guarding:
    for repository in found:
        if not repository.is_outside:
            wants += wants_of(place, repository)
        wants += _led_to(place, repository, environ)
    ends: dict[str, Missing | None] = {}
    open_to = []
    vital = {repository.directory for repository in found if not repository.is_outside}
    inside = Inside(place)
    waiting = deque(wants)
    while waiting:
        for path, kind in _resolved(place, waiting.popleft()):
            if _is_free(path, free):
                continue
            if path == "" or any(_is_below(one, path) for one in vital):
                open_to.append(path or ".")
                continue
            if path not in ends:
                waiting.extend(Want(link) for link in inside.links(path) if _is_obeyed(link))
            ends[path] = ends.get(path) or kind
    ends |= dict.fromkeys(inside.other_names())
    return Guarding(
        tuple(_in_order(ends, root)),
        tuple(_stand_ins(place, ends)),
        open_to=tuple(dict.fromkeys(open_to)),
        all_names=inside.complete,
    )


def _units(free: tuple[str, ...]) -> Iterator[Want]:
    for unit in UNITS:
        missing: Missing | None = "socket" if unit.new else None
        if not any(_is_below(path, unit.path) and path != unit.path for path in free):
            yield Want(unit.path, missing)
            continue
        # Some of it is allowed: of the rest, what is obeyed is guarded by itself.
        yield from (Want(f"{unit.path}/{member}", missing) for member in unit.members)


def _no_repository_itself(root: Path) -> Iterator[Want]:
    """Keeps the top of a workspace from becoming a repository's own directory."""
    yield Want("commondir", "socket")
    for name in BARE_NEEDS:
        mode = mode_of(root / name)
        # One that stands in for it already will do: with all of them it would look like one.
        if mode is None or (stat.S_ISSOCK(mode) and not stat.S_IMODE(mode)):
            yield Want(name, "socket")
            return


def _is_obeyed(link: str) -> bool:
    """Whether a link that is guarded with the directory it is in is one that anything obeys: of
    what editors and agents have, not all is."""
    in_unit = any(_is_below(link, unit.path) for unit in UNITS)
    return not in_unit or why_executed(link) is not None


def _led_to(place: Path, repository: Repository, environ: Mapping[str, str]) -> Iterator[Want]:
    for reference, path in referred_to(place, repository, environ):
        match reference.kind:
            case "hooks":
                yield Want(path, "socket")
            case "include":
                yield Want(path, "file")
            case _:
                end = look_up(place, path)
                if end.mode is not None and stat.S_ISREG(end.mode):
                    yield Want(path)


def _resolved(place: Path, want: Want) -> Iterator[tuple[str, Missing | None]]:
    """The links on the way to what is wanted, and where they end."""
    found: Found = look_up(place, want.path)
    for link in found.links:
        yield link, None
    if found.end is None:
        return
    if found.mode is not None:
        yield found.end, None
    elif want.missing is not None:
        yield found.end, want.missing


def _is_free(path: str, free: tuple[str, ...]) -> bool:
    return path not in NEVER_ALLOWED and any(_is_below(path, one) for one in free)


def _is_below(path: str, above: str) -> bool:
    return path == above or above in ("", ".") or path.startswith(above + "/")


def _in_order(ends: Iterable[str], root: str) -> Iterator[Guard]:
    """The guards, and the directories on the way to them, which stay where they are: each behind
    those it is below, and none below what cannot be changed at all."""
    kept = set(ends)
    kept = {path for path in kept if kept.isdisjoint(parents(path))}
    passages = {above for path in kept for above in parents(path)}
    for path in sorted(kept | passages, key=lambda path: (path.count("/"), path)):
        yield Guard(path, writable=path not in kept, root=root)


def _stand_ins(place: Path, ends: Mapping[str, Missing | None]) -> Iterator[StandIn]:
    made: set[str] = set()
    kept = {path for path, kind in ends.items() if kind is None}  # nothing appears in there
    for path, kind in ends.items():
        over = tuple(parents(path))
        if kind is None or not made.isdisjoint(over) or not kept.isdisjoint(over):
            continue
        for above in over:
            if above not in made and mode_of(place / above) is None:
                made.add(above)
                yield StandIn(above, "directory")
        yield StandIn(path, kind)
