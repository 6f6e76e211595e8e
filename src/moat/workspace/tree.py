"""Looking at a workspace without following what may have been planted in it. Nothing is changed."""

from __future__ import annotations

import os
import shlex
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from moat.errors import MoatError

_MAX_LINKS = 40  # as many as the kernel follows
_MAX_TEXT = 1 << 20  # bytes of a file of settings

# Large, and full of what nobody enters: looked through last.
_LAST = frozenset({"node_modules", "target", "venv", ".venv", "__pycache__", "vendor", "dist"})


class Closed(MoatError):
    """Something of ours is closed to us, by its mode: a run can open it again, so it counts, and
    what is in it nobody can see."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is closed: its mode keeps Moat from seeing what git obeys in there",
            hint=f"open it: chmod u+rwx {shlex.quote(str(path))}",
        )


class Found(NamedTuple):
    """Where a path leads, below a root: the links on its way, itself among them, and where it ends.

    `end` is None when it leads out of the root or round in circles, `mode` where nothing is.
    """

    links: tuple[str, ...]
    end: str | None
    mode: int | None = None


def look_up(root: Path, path: str) -> Found:
    """Follow a path, relative to a root or absolute on this machine, link by link. Raises Closed
    where it cannot be told what is there."""
    base = str(root)
    links: list[str] = []
    done: list[str] = []
    waiting = deque(_parts(base, path))
    mode: int | None = stat.S_IFDIR
    while waiting:
        part = waiting.popleft()
        if part == "/" or (part == ".." and not done):
            return Found(tuple(links), None)
        if part == "..":
            done.pop()
            mode = stat.S_IFDIR
            continue
        here = "/".join((*done, part))
        mode = _mode_seen(f"{base}/{here}", entered=bool(waiting))
        if mode is None:
            return Found(tuple(links), "/".join((here, *waiting)))
        if not stat.S_ISLNK(mode):
            done.append(part)
            continue
        links.append(here)
        target = _target(f"{base}/{here}")
        if target is None or len(links) > _MAX_LINKS:
            return Found(tuple(links), None)
        if target.startswith("/"):
            done = []
        mode = stat.S_IFDIR
        waiting.extendleft(reversed(_parts(base, target)))
    return Found(tuple(links), "/".join(done), mode)


def seen(path: Path) -> Path:
    """The same path, once it is sure that what is there, behind links too, can be looked at.

    Raises Closed where it cannot, and somebody of ours could change that.
    """
    there = path
    while True:
        try:
            status = there.lstat()
        except PermissionError:
            there = Path(os.path.realpath(there)).parent  # which cannot be entered
            continue
        except OSError:
            return path  # nothing is there
        if is_closed(there, status):
            raise Closed(there)
        behind = Path(os.path.realpath(there)) if stat.S_ISLNK(status.st_mode) else there
        if behind == there:
            return path  # or it goes round in circles
        there = behind


def is_closed(path: Path | str, status: os.stat_result) -> bool:
    """Whether a file or directory of ours is closed to us. What belongs to others a run cannot open
    either."""
    is_directory = stat.S_ISDIR(status.st_mode)
    mode = 0o500 if is_directory else 0o400
    return (
        status.st_uid == os.geteuid()
        and status.st_mode & mode != mode
        and (is_directory or stat.S_ISREG(status.st_mode))
        and not os.access(path, os.R_OK | os.X_OK if is_directory else os.R_OK)
    )


def mode_of(path: Path | str) -> int | None:
    """The mode of what is there, itself if it is a link; None if nothing is, or nothing is seen."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return None


def text_of(path: Path) -> str:
    """What a small regular file says; nothing if it cannot be read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123  # a descriptor
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            return file.read(_MAX_TEXT).decode(errors="surrogateescape")
    except OSError:
        return ""


def directories(root: Path, *, most: int, seconds: float) -> Iterator[tuple[str, set[str] | None]]:
    """Directories below a root, itself ("") first, with the names in them, or None where they are
    closed; not those of git's own.

    The nearest come first. Raises TooMuch when there are more of them, or it takes longer.
    """
    import time

    until = time.monotonic() + seconds
    waiting, last = deque([""]), deque[str]()
    while waiting or last:
        here = waiting.popleft() if waiting else last.popleft()
        names: set[str] = set()
        below = []
        place = root / here if here else root
        try:
            if is_closed(place, place.lstat()):
                yield here, None
                continue
            with os.scandir(place) as scanned:
                for entry in scanned:
                    names.add(entry.name)
                    if entry.name != ".git" and entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
        except OSError:
            continue  # gone, or another's and closed to us, and so to the box
        yield here, names
        most -= 1
        if most < 0 or time.monotonic() > until:
            raise TooMuch
        prefix = here + "/" if here else ""
        for name in sorted(below):
            (last if name in _LAST else waiting).append(prefix + name)


class TooMuch(Exception):
    """There is more than is looked at."""


def parents(path: str) -> Iterator[str]:
    """The directories above a relative path, the topmost first, without the root."""
    at = path.find("/")
    while at > 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _parts(root: str, path: str) -> list[str]:
    """The parts of a path below a root; of one that is elsewhere the first is "/"."""
    if path.startswith("/"):
        path = os.path.normpath(path)
        if path != root and not path.startswith(root + "/"):
            return ["/"]
        path = path[len(root) :]
    return [part for part in path.split("/") if part not in ("", ".")]


def _mode_seen(path: str, *, entered: bool) -> int | None:
    try:
        status = os.lstat(path)
    except PermissionError:
        seen(Path(path))
        return None
    except OSError:
        return None
    if entered and stat.S_ISDIR(status.st_mode) and is_closed(path, status):
        raise Closed(Path(path))
    return status.st_mode


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115  # text in, text out
    except OSError:
        return None
