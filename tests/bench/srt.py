"""sandbox-runtime, the sandbox for commands in npm, as it is when installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGE = "@anthropic-ai/sandbox-runtime"
_VERSION = "0.0.78"
# What it looks for on PATH.
_NEEDED = {"bubblewrap": "bwrap", "socat": "socat", "ripgrep": "rg", "Node.js": "node"}


class NotThere(Exception):
    """It cannot be had on this machine; says why."""


def find(cache: Path) -> str:
    """The program, installed once below `cache` by npm. Raises NotThere."""
    if missing := [what for what, program in _NEEDED.items() if shutil.which(program) is None]:
        raise NotThere(f"no {', no '.join(missing)}")
    place = cache / f"srt-{_VERSION}"
    program = place / "node_modules" / ".bin" / "srt"
    if not program.exists():
        print(f"installing {PACKAGE} below .cache, once …", flush=True)
        options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        wanted = f"{PACKAGE}@{_VERSION}"
        try:
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "install", *options, "--prefix", place, wanted], check=True)
        except (OSError, subprocess.CalledProcessError):
            raise NotThere("npm cannot install it") from None
    return str(program)
