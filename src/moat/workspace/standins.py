"""What is made in a workspace so that something can be mounted where nothing was; gone after runs.

Several runs may share a workspace, and any of them may be killed. So what was made is written down
in Moat's own directory before it has its name, by the file's identity, and the last run to leave
takes it away: to remove it earlier would take the guard away from another run's box. What a lost
run left is removed by the next one, or by `remove_lost`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moat.errors import MoatError
from moat.files import ensure_private_dir, write_atomic
from moat.workspace.guards import StandIn
from moat.workspace.opened import Parents
from moat.workspace.tree import text_of

_ITSELF = b".\n"
# What file systems say that have no sockets, or no second names.
_NOT_HERE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
# And when what was made is not there any more, or is used.
_NOT_OURS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR}
)
_MODES = {"socket": stat.S_IFSOCK, "file": stat.S_IFREG, "itself": stat.S_IFREG}


class StandIns:
    """What runs have made in one workspace; `directory` is Moat's own, `root` the workspace."""

    def __init__(self, directory: Path, root: Path) -> None:
        self._directory = directory
        self._root = root
        self._journal = directory / "made.jsonl"
        self._runs = directory / "runs"

    @contextlib.contextmanager
    def used_by(self, run: str) -> Iterator[StandIns]:
        """For as long as this lasts, nothing that was made is taken away."""
        ensure_private_dir(self._directory)
        ensure_private_dir(self._runs)
        with self._locked():
            self._forget_the_dead()
            own = os.open(self._runs / run, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(own, fcntl.LOCK_EX)
            self._write_root()
        try:
            yield self
        finally:
            with self._locked():
                (self._runs / run).unlink(missing_ok=True)
                os.close(own)
                self._forget_the_dead()
            for other in self._around():
                with contextlib.suppress(OSError):  # the next run tries again
                    other.remove_lost()

    @contextlib.contextmanager
    def unused(self) -> Iterator[bool]:
        """Whether no run uses the workspace; none begins to for as long as this lasts."""
        ensure_private_dir(self._directory)
        ensure_private_dir(self._runs)
        with self._locked():
            self._forget_the_dead()
            yield not any(self._runs.iterdir())

    def make(self, wanted: tuple[StandIn, ...]) -> None:
        """Make what is not there. Raises MoatError where that cannot be."""
        if not wanted:
            return
        with self._locked(), contextlib.ExitStack() as stack:
            try:
                parents = Parents(self._root, stack)
                self._make_directories(parents, (one for one in wanted if one.kind == "directory"))
                # Another name costs less than another file.
                if sockets := [one for one in wanted if one.kind == "socket"]:
                    self._make_file(parents, sockets)
                for one in wanted:
                    if one.kind in ("file", "itself"):
                        self._make_file(parents, [one])
            except OSError as error:
                raise MoatError(
                    f"{error.filename or self._root} cannot be kept from appearing: "
                    f"{error.strerror}",
                    hint="let the run write there: --allow-write PATH",
                ) from None

    @property
    def paths(self) -> frozenset[str]:
        """What was made and is still there, by any run."""
        return frozenset(
            entry["path"]
            for entry in self._entries()
            if "path" in entry
            and _is_it(entry, _status(place := self._root / entry["path"]))
            and (entry["type"] != stat.S_IFREG or _is_said(place, entry["size"]))
        )

    @property
    def all_paths(self) -> frozenset[str]:
        """Likewise, with what runs in directories above and below have made in here."""
        places = [self._root / path for path in self.paths]
        for other in self._around():
            places += [other._root / path for path in other.paths]
        return frozenset(
            str(place.relative_to(self._root))
            for place in places
            if place.is_relative_to(self._root)
        )

    def remove_lost(self) -> None:
        """Take away what no run that lives has use for."""
        if self._runs.is_dir():
            with self._locked():
                self._forget_the_dead()

    # making

    def _make_directories(self, parents: Parents, wanted: Iterable[StandIn]) -> None:
        for one in wanted:
            parent, name = parents.of(one.path)
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=parent)
                self._write(_entry(one, os.stat(name, dir_fd=parent, follow_symlinks=False)))

    def _make_file(self, parents: Parents, names: list[StandIn]) -> None:
        """Make one file with one or more names. It begins under a name that nobody else has, is
        written down, and is given its own then."""
        parent, _ = parents.of(names[0].path)
        draft = f".moat-{os.urandom(8).hex()}"
        self._write({"draft": str(Path(names[0].path).with_name(draft))})
        try:
            _make(draft, names[0].kind, parent)
        except OSError as error:
            if names[0].kind == "socket" and error.errno in _NOT_HERE:
                self._make_directories(parents, names)  # which git does not see either
                return
            raise
        elsewhere = []
        try:
            status = os.stat(draft, dir_fd=parent, follow_symlinks=False)
            self._write(*(_entry(one, status) for one in names))
            for one in names:
                into, name = parents.of(one.path)
                if not _name(draft, parent, name, into):
                    elsewhere.append(one)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=parent)
        if elsewhere and len(elsewhere) < len(names):
            self._make_file(parents, elsewhere)

    # taking away

    def _forget_the_dead(self) -> None:
        """Drop the marks of runs that are over; behind the last, remove what was made, unless a run
        in a directory above or below guards with it too."""
        for mark in self._runs.iterdir():
            with contextlib.suppress(OSError), mark.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mark.unlink()
        if any(self._runs.iterdir()) or not self._journal.exists():
            return
        if not any(one._is_used() for one in self._around()):
            self._remove_all()

    def _around(self) -> Iterator[StandIns]:
        """Those of the directories above and below this one, a repository's of its workspace."""
        for directory in self._directory.parent.iterdir():
            root = _root_of(directory) if directory != self._directory else None
            if root and (root.is_relative_to(self._root) or self._root.is_relative_to(root)):
                yield StandIns(directory, root)

    def _is_used(self) -> bool:
        """Whether a run there lives: it holds its mark."""
        with contextlib.suppress(FileNotFoundError):
            for mark in self._runs.iterdir():
                with contextlib.suppress(FileNotFoundError), mark.open("rb") as file:
                    try:
                        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    except BlockingIOError:
                        return True
        return False

    def _remove_all(self) -> None:
        """Remove what was made. What cannot be now stays written down, and is tried again."""
        entries = self._entries()
        if not entries:
            return
        with contextlib.ExitStack() as stack:
            try:
                parents = Parents(self._root, stack, ours=True)
            except OSError:
                return  # perhaps it comes back
            kept = [
                # What is in a directory before the directory.
                entry
                for entry in reversed(entries)
                if not _is_over(parents, entry)
            ]
        if kept:
            lines = "".join(json.dumps(entry) + "\n" for entry in reversed(kept))
            write_atomic(self._journal, lines.encode(), mode=0o600)
        else:
            self._journal.unlink(missing_ok=True)

    # the journal

    def _write_root(self) -> None:
        file, content = self._directory / "root", os.fsencode(self._root)
        if not file.is_file() or file.read_bytes() != content:
            write_atomic(file, content, mode=0o600)

    def _write(self, *entries: dict[str, Any]) -> None:
        if not entries:
            return
        lines = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        journal = os.open(self._journal, flags, 0o600)
        try:
            if os.write(journal, lines) != len(lines):
                raise OSError(28, "No space left on device", str(self._journal))
        finally:
            os.close(journal)

    def _entries(self) -> list[dict[str, Any]]:
        try:
            lines = self._journal.read_bytes().splitlines()
        except OSError:
            return []
        entries = []
        for line in lines:
            with contextlib.suppress(ValueError):  # cut off when the machine stopped
                entries.append(json.loads(line))
        return [entry for entry in entries if isinstance(entry, dict)]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        lock = os.open(self._directory / "lock", flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def remove_lost(workspaces: Path) -> None:
    """Take away what lost runs have left in any workspace; `workspaces` is Moat's directory of
    them."""
    if not workspaces.is_dir():
        return
    for directory in workspaces.iterdir():
        with contextlib.suppress(OSError):
            if root := _root_of(directory):
                StandIns(directory, root).remove_lost()


def _root_of(directory: Path) -> Path | None:
    """The workspace that has this directory of Moat's."""
    try:
        root = Path(os.fsdecode((directory / "root").read_bytes()))
    except OSError:
        return None
    return root if root.is_absolute() else None  # or it would be a place below wherever we are


def _make(name: str, kind: str, parent: int) -> None:
    if kind == "itself":
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o444, dir_fd=parent)
        try:
            os.write(file, _ITSELF)
        finally:
            os.close(file)
        return
    permissions = 0 if kind == "socket" else 0o444
    os.mknod(name, _MODES[kind] | permissions, dir_fd=parent)


def _name(draft: str, parent: int, name: str, into: int) -> bool:
    """Give a file a name unless something has it; False where that is on another file system."""
    try:
        # Unlike a rename, this replaces nothing.
        os.link(draft, name, src_dir_fd=parent, dst_dir_fd=into, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        if error.errno not in _NOT_HERE:
            raise
        os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=into)
    return True


def _entry(one: StandIn, status: os.stat_result) -> dict[str, Any]:
    return {
        "path": one.path,
        "device": status.st_dev,
        "inode": status.st_ino,
        "type": stat.S_IFMT(status.st_mode),
        "size": status.st_size,
        "made": status.st_mtime_ns,
    }


def _is_over(parents: Parents, entry: dict[str, Any]) -> bool:
    """Remove what was made; whether there is nothing more to be done about it."""
    try:
        parent, name = parents.of(entry["draft"] if "draft" in entry else entry["path"])
        device = os.fstat(parent).st_dev
        try:
            _remove(parent, name, entry)
        except FileNotFoundError:
            pass
        # Another file system may be mounted there for a while.
        return bool(device == entry.get("device", device))
    except (KeyError, TypeError):
        return True  # no entry of ours
    except OSError as error:
        return error.errno in _NOT_OURS


def _remove(parent: int, name: str, entry: dict[str, Any]) -> None:
    """Remove what was made, and nothing that has taken its place or become something."""
    if "draft" in entry:
        os.unlink(name, dir_fd=parent)  # a name that nobody can have guessed
        return
    if not _is_it(entry, os.stat(name, dir_fd=parent, follow_symlinks=False)):
        return
    if entry["type"] == stat.S_IFDIR:
        os.rmdir(name, dir_fd=parent)  # only an empty one goes
    else:
        os.unlink(name, dir_fd=parent)


def _is_it(entry: dict[str, Any], status: os.stat_result | None) -> bool:
    """Whether something is what was made, as it was made."""
    if status is None or (status.st_dev, status.st_ino) != (entry["device"], entry["inode"]):
        return False
    if stat.S_IFMT(status.st_mode) != entry["type"]:
        return False
    # An inode alone says little: the next file may well have the same.
    return entry["type"] == stat.S_IFDIR or (
        (status.st_size, status.st_mtime_ns) == (entry["size"], entry["made"])
    )


def _is_said(path: Path, size: int) -> bool:
    """Whether a file says what one of ours of that size does: a time can be set."""
    return text_of(path) == _ITSELF[:size].decode()


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
