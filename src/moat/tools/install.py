"""Install a tool once per version below `$MOAT_HOME`, or find that it is installed.

Every run asks, nearly every run finds: so finding is one stat, and what installing needs is
imported when it is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from moat.errors import ToolError
from moat.tools.places import is_installed, tools_dir

if TYPE_CHECKING:
    from moat.tools.catalogue import Package, Tool
    from moat.tools.progress import Progress


def find_installed(tool: Tool, home: Path) -> Path | None:
    """The directory of an installed tool, or None; UnsafeFile if others may write to it."""
    directory = tools_dir(home) / tool.name / tool.version
    return directory if is_installed(directory) else None


def ensure_tool(tool: Tool, *, home: Path, progress: Progress | None = None) -> Path:
    """Install a tool unless it is installed; its directory, complete and on the disk.

    Safe to call from several processes at once: one installs, the others wait and say so. Call it
    where a Ctrl-C arrives, in the main thread. ToolError if it cannot be installed; after any
    exception, and even after a kill -9, no half-installed tool is found.
    """
    found = find_installed(tool, home)
    return found if found is not None else _install(tool, home, progress)


def _install(tool: Tool, home: Path, progress: Progress | None) -> Path:
    from moat.tools.progress import Silent
    from moat.tools.staging import Job, install_once

    tell = progress or Silent()
    package = tool.package_for(os.uname().machine)
    tools = tools_dir(home)
    job = Job(
        name=tool.name,
        label=str(tool),
        target=tools / tool.name / tool.version,
        # npm keeps the tarball twice; by the time it is unpacked the copy is gone
        needed_bytes=tool.download_bytes + max(tool.download_bytes, tool.installed_bytes),
        fill=lambda folder: _fetch(tool, package, home, folder, tell),
    )
    try:
        return install_once(job, tools=tools, progress=tell)
    finally:
        tell.end()


def _fetch(tool: Tool, package: Package, home: Path, folder: Path, progress: Progress) -> Path:
    """Fetch, verify and unpack a package into a folder; the directory unpacked."""
    from moat.tools.archive import integrity_of, unpack
    from moat.tools.npm import find_npm, pack

    npm = find_npm(home, progress)

    def watch(arrived: int) -> None:
        progress.measure(str(tool), arrived, tool.download_bytes)

    tarball = pack(npm, package.spec, folder, watch=watch)
    got = integrity_of(tarball)
    if got != package.integrity:
        raise ToolError(
            f"what npm fetched as {package.spec} is not the file Moat was made for: "
            f"expected {package.integrity}, got {got}",
            hint="see which registry it came from: npm config get registry",
        )
    progress.say(f"{tool}: fetched and verified; unpacking")
    made = folder / "made"
    unpack(tarball, made, root=package.root, files=tool.files)
    tarball.unlink()  # not for the next one to sweep, if we die right after the rename
    return made
