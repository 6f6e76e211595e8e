"""A tarball from a registry: first whether it is the right one, then its files.

Nothing of a tarball is believed before its digest is; and even then names and kinds of members
are, because a digest may one day be pinned to a file nobody looked into.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from moat.errors import ToolError

_BLOCK = 1 << 20


def integrity_of(tarball: Path) -> str:
    """The digest of a file as npm writes it: `sha512-` and base64 (W3C Subresource Integrity)."""
    digest = hashlib.sha512()
    with tarball.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return "sha512-" + base64.b64encode(digest.digest()).decode()


def unpack(tarball: Path, into: Path, *, root: str, files: Sequence[str]) -> None:
    """Write the named files below `root` of a tarball into a new directory, and to the disk.

    The places written to are made of `files`, never of a name in the tarball; modes become 0755
    or 0644. Raises ToolError for a damaged tarball, a missing file, a link or device, or a member
    whose name leads outside; OSError when writing fails.
    """
    wanted = {f"{root}/{name}": into / name for name in files}
    _make_directory(into)
    try:
        with tarfile.open(tarball, "r:gz") as tar:
            for member in tar:
                _check_member(member)
                if member.isreg() and (place := wanted.pop(member.name, None)):
                    _extract(tar, member, place)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ToolError(f"{tarball.name} is damaged: {error}") from error
    if wanted:
        raise ToolError(f"{tarball.name} lacks {', '.join(sorted(wanted))}")
    for directory, _, _ in os.walk(into):
        sync_directory(Path(directory))


def sync_directory(directory: Path) -> None:
    """Have the names in a directory written to the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check_member(member: tarfile.TarInfo) -> None:
    """Refuse what npm never packs: links, devices, names that lead out of the package."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise ToolError(f"the package is not safe to unpack: {member.name!r} leads outside it")
    if not (member.isreg() or member.isdir()):
        raise ToolError(f"the package is not safe to unpack: {member.name!r} is a link or a device")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None  # a regular file has content
    _make_parents(place.parent)
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with source, os.fdopen(fd, "wb") as target:
        shutil.copyfileobj(source, target, _BLOCK)
        os.fchmod(fd, 0o755 if member.mode & 0o100 else 0o644)
        target.flush()
        os.fsync(fd)


def _make_parents(directory: Path) -> None:
    if not directory.is_dir():
        _make_parents(directory.parent)
        _make_directory(directory)


def _make_directory(directory: Path) -> None:
    """A directory of mode 0755, whatever the umask."""
    directory.mkdir()
    directory.chmod(0o755)
