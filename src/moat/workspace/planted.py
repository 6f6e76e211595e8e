"""Which changes of a workspace a program of the host would run or obey.

By their names, by being part of what git would take for a repository in any of its forms, and by
something that is obeyed leading to them: a link, or the settings of a repository.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from moat.workspace.executed import Why, why_executed
from moat.workspace.gitconfig import settings_of
from moat.workspace.repositories import (
    Repository,
    is_head,
    referred_to,
    repositories_at,
    wants_of,
)
from moat.workspace.tree import Closed, Found, look_up, mode_of, parents, text_of

_SETTINGS = ("config", "config.worktree")
# Two of these make it likely enough that git takes the directory they are in for a repository: of
# which one may be the settings of another.
_SIGNS = ("HEAD", "commondir", "objects", "refs")
_REPOSITORY = "git takes the directory it is in for a repository, and runs what its settings name"
_HOOK = "git takes the directory it is in for a repository's, and runs it"
_BEHIND = Why("git may find its settings and hooks behind it")
_LINKED = "a link to it is obeyed"
_LED = "settings of a repository lead git to it"
_TAKEN = "git is led to it, and obeys what a repository has there"
_MOST_SETTINGS = 64  # files that are read
_MOST_LINKS = 4096  # that are followed
_MOST_SIGNS = 4096  # of repositories that are asked where they lead


class Executed(NamedTuple):
    """A file below the workspace that a program of the host would run or obey, and why; `asked`
    where it takes a command of the person's that is known to run things, such as a build."""

    path: str
    why: str
    asked: bool = False


def executed_of(
    root: Path,
    changed: Iterable[str],
    links: Iterable[str],
    environ: Mapping[str, str],
    *,
    within: str = "",
    signs: Iterable[str] = (),
) -> tuple[Executed, ...]:
    """Those of the changed files, what runs without being asked for first. `links` are all links
    of the workspace that are obeyed or in a repository's own directory, and `signs` all paths that
    are called `.git` or `HEAD`, changed or not. `within` is what stands before paths to tell why
    they are obeyed: of a repository's own directory ".git/".
    """
    places = _Places(root)
    links = dict.fromkeys(links)
    changed = list(changed)
    found: dict[str, Executed] = {}
    for path in changed:
        if why := why_executed(within + path) or (_BEHIND if path in links else None):
            found[path] = Executed(path, *why)
        elif said := places.why(path):
            found[path] = Executed(path, said)
    led = _led_by_links(root, links, within)
    for path in [path for path in found if path.rpartition("/")[2] in _SETTINGS][:_MOST_SETTINGS]:
        for end in _led_by_settings(root, path, environ):
            led.setdefault(end, Executed(end, _LED))
    if changed:
        # What was there before comes first: a run can make any number of them.
        ordered = sorted(signs, key=set(changed).__contains__)[:_MOST_SIGNS]
        for end, said in _led_by_repositories(root, ordered, environ):
            led.setdefault(end, Executed(end, said))
    for path in changed if led else ():
        for above in (path, *parents(path)):
            if path not in found and above in led and not _is_sample(path, above):
                found[path] = led[above]._replace(path=path)
    return tuple(sorted(found.values(), key=lambda one: (one.asked, one.path)))


class _Places:
    """The directories of a workspace that git may take for a repository."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, bool] = {}

    def why(self, path: str) -> str | None:
        """Why git would obey a file that is in one of them."""
        above, _, name = path.rpartition("/")
        if name in (*_SETTINGS, "HEAD", "commondir") and self._is_one(above):
            return _REPOSITORY
        parts = path.split("/")
        for depth, part in enumerate(parts):
            if part == "hooks" and not name.endswith(".sample") and self._is_one(parts[:depth]):
                return _HOOK
        if parts[-2:] == ["info", "attributes"] and self._is_one(parts[:-2]):
            return _REPOSITORY
        return None

    def _is_one(self, path: str | list[str]) -> bool:
        place = path if isinstance(path, str) else "/".join(path)
        if place not in self._known:
            modes = (mode_of(self._root / place / sign) for sign in _SIGNS)
            # A socket stands in for something that is not there.
            signs = [mode for mode in modes if mode is not None and not stat.S_ISSOCK(mode)]
            self._known[place] = len(signs) > 1 or self._is_begun(place)
        return self._known[place]

    def _is_begun(self, place: str) -> bool:
        """Whether nothing but directories is missing, which are not told of when they appear."""
        here = self._root / place
        if all(mode_of(here / name) is None for name in ("config", "hooks")):
            return False
        return is_head(here / "HEAD")


def _led_by_links(root: Path, links: Iterable[str], within: str) -> dict[str, Executed]:
    led: dict[str, Executed] = {}
    for path, _ in zip(links, range(_MOST_LINKS), strict=False):
        why, found = why_executed(within + path) or _BEHIND, _end_of(root, path)
        for end in (*found.links, found.end):
            if end:
                led.setdefault(end, Executed(end, _LINKED, why.asked))
    return led


def _led_by_repositories(
    root: Path, signs: Iterable[str], environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Where git is led below the root by all repositories, and why it obeys what is there."""
    found, wants = repositories_at(root, signs)
    for repository in found:
        if not repository.is_outside:
            with contextlib.suppress(Closed):
                wants += wants_of(root, repository)
        with contextlib.suppress(Closed):
            for reference, path in referred_to(root, repository, environ):
                end = _end_of(root, path)
                yield from ((link, _LED) for link in end.links)
                # Lines for a shell have words that only happen to name a directory.
                is_directory = end.mode is not None and stat.S_ISDIR(end.mode)
                if end.end and not (is_directory and reference.kind == "command"):
                    yield end.end, _LED
    for want in wants:
        end = _end_of(root, want.path)
        yield from ((path, _TAKEN) for path in (*end.links, end.end) if path)


def _is_sample(path: str, above: str) -> bool:
    """Whether a file in a directory of hooks is none that git runs."""
    return path != above and path.endswith(".sample")


def _led_by_settings(root: Path, path: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Where a file of settings leads git to, below the root. What it is relative to depends on how
    git is asked, so several places are looked at."""
    directory = path.rpartition("/")[0]
    works = {directory, directory.rpartition("/")[0], ""}
    for name, value in settings_of(text_of(root / path)):
        if name == "core.worktree":
            below = _end_of(root, value if os.path.isabs(value) else f"{directory}/{value}")  # noqa: PTH117
            works |= {below.end} if below.end else set()
    for work in works:
        with contextlib.suppress(Closed):
            for _, led in referred_to(root, Repository(directory, work), environ):
                end = _end_of(root, led)
                yield from end.links
                if end.end and end.mode is not None:
                    yield end.end


def _end_of(root: Path, path: str) -> Found:
    try:
        return look_up(root, path)
    except Closed:
        return Found((), None)  # what is closed is told of by itself
