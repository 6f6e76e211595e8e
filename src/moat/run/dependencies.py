"""What a project depends on, met in the sandbox: by the programs of this machine that a box sees,
or by a tool that Moat installs. What is neither is refused before anything is made.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from moat.errors import UsageError
from moat.run.environment import SYSTEM_PATH
from moat.tools.catalogue import Tool, find_tool

# Where a program is not called as what it belongs to.
_PROGRAMS = {"python": "python3", "rust": "rustc"}
# Those that are asked for their version, and how. No others: many a program runs what it finds in
# the directory it is started in, and this is on the host.
_ASKED = {
    "git": ("--version",),
    "go": ("version",),
    "java": ("-version",),
    "node": ("--version",),
    "python": ("--version",),
    "ruby": ("--version",),
    "rust": ("--version",),
}
_VERSION = re.compile(r"\d+(?:\.\d+)*")
_SECONDS = 10.0
_CURE = "install it on this machine, under /usr, where boxes see it"


def meet(text: str) -> None:
    """See that a dependency is there; a program of the host may be asked for its version.

    Raises UsageError for one that cannot be met.
    """
    name, _, version = text.partition("@")
    if ":" in name:
        raise UsageError(
            f"dependency {text}: packages of {name.partition(':')[0]} are not installed in the "
            "sandbox",
            hint="let the project's own setup install it, in the workspace",
        )
    tool = find_tool(name)
    if tool is not None:
        _check_tool(tool, text, version)
    else:
        _check_program(text, name, version)


def _check_tool(tool: Tool, text: str, version: str) -> None:
    if version and not _is_within(tool.version, version):
        raise UsageError(
            f"dependency {text}: this Moat installs {tool}",
            hint=f"write {tool.name}@{tool.version}, or {tool.name}",
        )


def _check_program(text: str, name: str, version: str) -> None:
    program = _PROGRAMS.get(name, name)
    found = shutil.which(program, path=SYSTEM_PATH)
    if found is None:
        raise UsageError(f"dependency {text}: there is no program {program} for a box", hint=_CURE)
    if version:
        if name not in _ASKED:
            raise UsageError(
                f"dependency {text}: the version of {name} cannot be looked at in the sandbox",
                hint=f"write {name}; versions can be given for: {', '.join(_ASKED)}",
            )
        has = _version_of(found, _ASKED[name])
        if not _is_within(has, version):
            raise UsageError(f"dependency {text}: {found} is {has or 'another'}", hint=_CURE)


def _is_within(has: str, wanted: str) -> bool:
    """Whether a version is the wanted one, as far as that is written: 22.1 is within 22."""
    return has.split(".")[: wanted.count(".") + 1] == wanted.split(".")


def _version_of(program: str, arguments: tuple[str, ...]) -> str:
    """What a program of the system says its version is; empty if it says none."""
    try:
        done = subprocess.run(  # one of /usr's own, by its full path
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            cwd="/",
            env={"PATH": SYSTEM_PATH},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search((done.stdout + done.stderr)[:2000].decode(errors="replace"))
    return match[0] if match else ""
