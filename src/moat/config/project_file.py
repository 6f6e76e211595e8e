"""Finding the project file of a workspace, and reading it once.

The workspace is written by the agent, so its files are whatever would harm us most: a link to a
secret that an error would then quote, a pipe nobody writes to, a file that changes between two
looks. One descriptor is opened, judged and read; what was read is what is shown, accepted and
used.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import stat
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moat.config.nodes import Place, fault, place_of
from moat.errors import ConfigError

if TYPE_CHECKING:
    from moat.config.project import Project

NAME = "moat.yaml"
OLDER_NAME = "agent.yaml"


class ProjectFile(NamedTuple):
    """A project file as it was when it was read; nothing here looks at the disk again."""

    path: Path
    name: str
    content: bytes = field(repr=False)
    deprecated: bool = False
    """Whether it has the name such files had before."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def read(self) -> Project:
        """Return what the content asks for. Raises ConfigError."""
        from moat.config.project_schema import PROJECT  # here, as most workspaces have no file
        from moat.config.yaml import read_yaml

        return PROJECT.read(read_yaml(self.content, name=str(self.path)))

    def place(self, *keys: str | int) -> Place:
        """Where something is said, or what is nearest around it; for content that can be read."""
        from moat.config.yaml import read_yaml

        return place_of(read_yaml(self.content, name=str(self.path)), *keys)


def find_project_file(workspace: Path) -> ProjectFile | None:
    """Return the project file of a workspace, an absolute and resolved path, if it has one.

    Raises ConfigError for one that is there and is no regular file, is too large, or cannot be
    read; the older name is not tried then.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        directory = os.open(workspace, flags)
    except OSError as error:
        raise fault(Place(str(workspace), 1, 1), f"cannot be read: {error.strerror}") from None
    try:
        for name in (NAME, OLDER_NAME):
            path = workspace / name
            content = _content(path, directory)
            if content is not None:
                return ProjectFile(path, name, content, deprecated=name == OLDER_NAME)
    finally:
        os.close(directory)
    return None


def _content(path: Path, directory: int) -> bytes | None:
    # O_NONBLOCK, or a pipe put there would keep us waiting for its writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path.name, flags, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if _is_stand_in(path.name, directory):
            return None
        raise _unopened(path, error) from None
    try:
        return _read(path, descriptor)
    finally:
        os.close(descriptor)


def _is_stand_in(name: str, directory: int) -> bool:
    """Whether this only keeps a file from appearing while another run lives: a socket that is
    closed to everybody (`workspace.standins`)."""
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except OSError:
        return False
    return stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0


def _read(path: Path, descriptor: int) -> bytes:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise _refused(path, f"is {_kind(mode)}, and not a file")
    from moat.config.yaml import MAX_BYTES  # here, as it loads a parser

    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise _refused(path, f"is larger than {MAX_BYTES // 1024} KiB")
    return content


def _unopened(path: Path, error: OSError) -> ConfigError:
    if error.errno == errno.ELOOP:
        return _refused(path, "is a symbolic link, and not a file")
    if error.errno == errno.ENXIO:
        return _refused(path, "is a socket, and not a file")
    reason = f"cannot be read: {error.strerror}"
    if error.errno == errno.EACCES:
        return fault(_place(path), reason, hint=f"run: chmod u+r {shlex.quote(str(path))}")
    return _refused(path, reason)


def _refused(path: Path, reason: str) -> ConfigError:
    name = shlex.quote(str(path))
    return fault(_place(path), reason, hint=f"move it away: mv {name} {name}.old")


def _place(path: Path) -> Place:
    return Place(str(path), 1, 1)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"
