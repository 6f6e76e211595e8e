"""Writing `.mcp.json` into a workspace, where an agent may have put anything beforehand."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

from moat.errors import MoatError
from moat.files import open_without_links

NAME = ".mcp.json"


def write_mcp_config(workspace: Path, data: bytes | None) -> None:
    """Write `.mcp.json` (0644) into a workspace, a real path; nothing is done without data.

    What has the name is replaced and never opened: a link that an agent left there is not
    followed, a FIFO not waited for. Raises MoatError, with the old file as it was.
    """
    if not data:
        return
    try:
        # A workspace was judged by its real path; what became a link since leads elsewhere.
        directory = open_without_links(workspace)
        try:
            _replace(directory, data)
        finally:
            os.close(directory)
    except OSError as error:
        raise _unwritten(workspace / NAME, error) from None


def _replace(directory: int, data: bytes) -> None:
    # A name nobody can guess, so that nothing waits under it.
    temporary = f"{NAME}.{os.urandom(8).hex()}"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.rename(temporary, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        try:
            os.unlink(temporary, dir_fd=directory)
        except OSError:
            pass  # never made, or gone; what is wrong is told by the error itself
        raise


def _unwritten(file: Path, error: OSError) -> MoatError:
    quoted = shlex.quote(str(file))
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        return MoatError(
            f"{file} is a directory, and a file has to take its place",
            hint=f"move it away: mv {quoted} {quoted}.old",
        )
    return MoatError(
        f"{file} cannot be written: {error.strerror}",
        hint=f"see whether you may write there: ls -ld {shlex.quote(str(file.parent))}",
    )
