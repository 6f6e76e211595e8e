"""Which Codex a person has on PATH, and what it says its version is."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

TIME_LIMIT = 5.0
_MAX_OUTPUT = 4096
_VERSION = re.compile(
    rb"^codex-cli (\d{1,5}\.\d{1,5}\.\d{1,5}(?:-(?:alpha|beta|rc)[.\d]{0,8})?)$", re.M
)


def find_codex(environ: Mapping[str, str]) -> Path | None:
    """The first `codex` on PATH, less what is relative or below the current directory: that may
    be a project, and what is there an agent's."""
    here = Path.cwd()
    parts = [Path(part) for part in environ.get("PATH", "").split(os.pathsep)]
    trusted = [str(p) for p in parts if p.is_absolute() and not p.resolve().is_relative_to(here)]
    found = shutil.which("codex", path=os.pathsep.join(trusted))
    return Path(found) if found else None


def version_of(program: Path, environ: Mapping[str, str]) -> str | None:
    """What `PROGRAM --version` says within some seconds; None if it does not.

    It gets no more of the environment than it needs to start, so no key either, and an empty
    directory for its own, as it would make files there.
    """
    kept = {name: environ[name] for name in ("HOME", "PATH") if name in environ}
    try:
        with tempfile.TemporaryDirectory(prefix="moat-doctor-") as directory:
            said = _ask(program, {**kept, "CODEX_HOME": directory}, directory)
    except (OSError, ValueError):
        return None
    version = _VERSION.search(said)
    return version[1].decode() if version else None


def _ask(program: Path, environ: dict[str, str], directory: str) -> bytes:
    with subprocess.Popen(
        [program, "--version"],
        env=environ,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            return _read_within(process.stdout.fileno(), TIME_LIMIT)
        finally:
            # Not yet waited for, so the number is still its own; what it started goes too.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                pass  # all gone


def _read_within(descriptor: int, seconds: float) -> bytes:
    """What can be read until the end, the size limit or the time limit."""
    end = time.monotonic() + seconds
    said = b""
    while (
        len(said) < _MAX_OUTPUT
        and select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]
    ):
        if not (more := os.read(descriptor, _MAX_OUTPUT - len(said))):
            break
        said += more
    return said
