"""What is made in a workspace so that something can be mounted where nothing was; gone after runs.

Several runs may share a workspace, and any of them may be killed. So what was made is written down
in Moat's own directory before it has its name, by the file's identity, and the last run to leave
takes it away: to remove it earlier would take the guard away from another run's box. What a lost
run left is removed by the next one, or by `remove_lost`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moat.errors import MoatError
from moat.files import ensure_private_dir, open_beneath
from moat.workspace.guards import StandIn

_ITSELF = b".\n"
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
            (self._directory / "root").write_bytes(os.fsencode(self._root))
        try:
            yield self
        finally:
            with self._locked():
                (self._runs / run).unlink(missing_ok=True)
                os.close(own)
                self._forget_the_dead()

    def make(self, wanted: tuple[StandIn, ...]) -> None:
        """Make what is not there. Raises MoatError where that cannot be."""
        with self._locked():
            root = self._open_root()
            try:
                made = self._drafts([one for one in wanted if one.kind != "directory"])
                for one in wanted:
                    self._put(root, one, made.get(one.path))
            except OSError as error:
                raise MoatError(
                    f"{error.filename or self._root} cannot be kept from appearing: "
                    f"{error.strerror}",
                    hint="let the run write there: --allow-write PATH",
                ) from None
            finally:
                os.close(root)

    @property
    def paths(self) -> frozenset[str]:
        """What was made and may still be there, by any run."""
        return frozenset(entry["path"] for entry in self._entries() if "path" in entry)

    def remove_lost(self) -> None:
        """Take away what no run that lives has use for."""
        if self._runs.is_dir():
            with self._locked():
                self._forget_the_dead()

    # making

    def _drafts(self, wanted: list[StandIn]) -> dict[str, str]:
        """What is needed, under names that are nobody else's; by path, the name beside it."""
        names = {
            one.path: str(Path(one.path).with_name(f".moat-{os.urandom(8).hex()}"))
            for one in wanted
        }
        self._write(*({"draft": name} for name in names.values()))
        return names

    def _put(self, root: int, one: StandIn, draft: str | None) -> None:
        above, _, name = one.path.rpartition("/")
        flags = os.O_PATH | os.O_DIRECTORY
        parent = open_beneath(root, above or ".", flags)
        try:
            if draft is None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=parent)  # by descriptor
                    self._write(_entry(one, os.stat(name, dir_fd=parent, follow_symlinks=False)))
                return
            temporary = draft.rpartition("/")[2]
            _make(temporary, one.kind, parent)
            try:
                self._write(_entry(one, os.stat(temporary, dir_fd=parent, follow_symlinks=False)))
                with contextlib.suppress(FileExistsError):
                    # Unlike a rename, this replaces nothing.
                    os.link(
                        temporary, name, src_dir_fd=parent, dst_dir_fd=parent,
                        follow_symlinks=False,
                    )  # fmt: skip
            finally:
                os.unlink(temporary, dir_fd=parent)
        finally:
            os.close(parent)

    # taking away

    def _forget_the_dead(self) -> None:
        """Drop the marks of runs that are over; behind the last, remove what was made."""
        for mark in self._runs.iterdir():
            with contextlib.suppress(OSError), mark.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mark.unlink()
        if not any(self._runs.iterdir()):
            self._remove_all()

    def _remove_all(self) -> None:
        entries = self._entries()
        if not entries:
            return
        try:
            root = self._open_root()
        except OSError:
            self._journal.unlink(missing_ok=True)  # the workspace is gone, and all with it
            return
        try:
            for entry in reversed(entries):  # what is in a directory before the directory
                with contextlib.suppress(OSError, KeyError, TypeError):
                    _remove(root, entry)
        finally:
            os.close(root)
        self._journal.unlink(missing_ok=True)

    # the journal

    def _open_root(self) -> int:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._root, flags)

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
            root = Path(os.fsdecode((directory / "root").read_bytes()))
            StandIns(directory, root).remove_lost()


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


def _entry(one: StandIn, status: os.stat_result) -> dict[str, Any]:
    return {
        "path": one.path,
        "device": status.st_dev,
        "inode": status.st_ino,
        "type": stat.S_IFMT(status.st_mode),
        "size": status.st_size,
        "made": status.st_mtime_ns,
    }


def _remove(root: int, entry: dict[str, Any]) -> None:
    """Remove what was made, and nothing that has taken its place or become something."""
    path = entry.get("draft") or entry["path"]
    above, _, name = path.rpartition("/")
    parent = open_beneath(root, above or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        if "draft" in entry:
            os.unlink(name, dir_fd=parent)  # a name that nobody can have guessed
            return
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != (entry["device"], entry["inode"]):
            return
        if stat.S_IFMT(status.st_mode) != entry["type"]:
            return
        if entry["type"] == stat.S_IFDIR:
            os.rmdir(name, dir_fd=parent)  # only an empty one goes
        elif (status.st_size, status.st_mtime_ns) == (entry["size"], entry["made"]):
            # An inode alone says little: the next file may well have the same.
            os.unlink(name, dir_fd=parent)
    finally:
        os.close(parent)
