"""Where tools live below `$MOAT_HOME`, and when one counts as installed.

    tools/codex-cli/1.2.3/       a tool: there, and therefore complete
    tools/node-1.2.3/            Node.js, where the host has no npm
    tools/.work/codex-cli.lock   held by whoever is installing
    tools/.work/codex-cli/…      what is being installed; swept by the next one to hold the lock

A directory gets its final name by one rename, when everything in it is on the disk. That is why
one stat tells whether a tool is installed, and why nothing else has to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from moat.errors import ToolError, UnsafeFile


def tools_dir(home: Path) -> Path:
    """The directory below which everything here is installed."""
    return home / "tools"


def is_installed(directory: Path) -> bool:
    """Whether the directory is there; UnsafeFile if somebody else could have written to it.

    ToolError if it cannot even be looked for.
    """
    try:
        found = directory.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ToolError(
            f"whether {directory} is there cannot be seen: {error.strerror}",
            hint=f"look at the directories that lead to it: ls -ld {directory.parent}",
        ) from error
    check_ours(directory, found)
    return True


def check_ours(directory: Path, found: os.stat_result) -> None:
    """Refuse a place others may write to: Moat runs the programs in it."""
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFile(
            f"{directory} is not a directory", hint=f"remove it, then try again: rm {directory}"
        )
    if found.st_uid not in (0, os.geteuid()):
        raise UnsafeFile(
            f"{directory} belongs to another user (uid {found.st_uid}), who could change the "
            "programs in it",
            hint=f"remove it, and Moat installs it again: rm -r {directory}",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeFile(
            f"{directory} may be written to by others, who could change the programs in it",
            hint=f"remove it, and Moat installs it again: rm -r {directory}",
        )
