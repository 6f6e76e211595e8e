"""Fetch a package with npm: the host's, with the person's own registry, proxy and CA settings."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from moat.errors import ToolError
from moat.tools.child import largest_file, run_child
from moat.tools.node import ensure_node
from moat.tools.progress import Progress, Silent

_FLAGS = (
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--no-workspaces",
    "--loglevel=error",
)


def find_npm(home: Path, progress: Progress | None = None) -> list[str]:
    """The command that runs npm: the host's, else that of a Node.js installed below `home`.

    ToolError if there is neither npm nor a pip to get Node.js with.
    """
    return _host_npm() or ensure_node(home, progress or Silent())


def pack(
    npm: Sequence[str], spec: str, folder: Path, *, watch: Callable[[int], None] | None = None
) -> Path:
    """Have npm fetch the tarball of a package into a folder; where it is.

    `watch` is told how many bytes have arrived. ToolError if npm fails, OSError if the disk is
    full. The folder is npm's working directory too, with a package.json of its own, so that no
    settings of the project the person stands in apply.
    """
    (folder / "package.json").write_text("{}\n")
    cache, before = folder / "cache", set(folder.glob("*.tgz"))
    argv = [*npm, "pack", spec, "--pack-destination", str(folder), "--cache", str(cache), *_FLAGS]
    ended = run_child(
        argv, cwd=folder, watch=(lambda: watch(largest_file(folder))) if watch else None
    )
    # Of no use any more, and as large as the tarball.
    shutil.rmtree(cache, ignore_errors=True)
    if ended.out_of_space:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    try_it = f"see whether npm finds it: {shlex.join([*npm, 'view', spec, 'dist'])}"
    if ended.code != 0:
        raise ToolError(f"npm could not fetch {spec}: it {ended}", hint=try_it)
    made = sorted(set(folder.glob("*.tgz")) - before)
    if len(made) != 1:
        raise ToolError(
            f"npm ended well but left {len(made)} tarballs for {spec}, not one", hint=try_it
        )
    return made[0]


def _host_npm() -> list[str] | None:
    """The npm on PATH, if it runs.

    Folders on PATH in the directory the person stands in are passed over: what lies there was
    written by those the box is for.
    """
    here = Path.cwd()
    folders = [f for f in os.get_exec_path() if not Path(f).resolve().is_relative_to(here)]
    npm = shutil.which("npm", path=os.pathsep.join(folders))
    if npm is None:
        return None
    try:
        return [npm] if run_child([npm, "--version"], cwd=Path("/")).code == 0 else None
    except OSError:
        return None
