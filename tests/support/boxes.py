"""Twins of Moat's box: the same argument list less one guard, to show that an attack can succeed.

A twin runs its command at once, without a proxy; but for what it leaves out it is the box.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from moat.runtimes.etc import etc_files
from moat.runtimes.interface import HOME, BoxSpec
from moat.runtimes.sandbox.argv import Descriptors, bwrap_arguments
from moat.runtimes.sandbox.filter import filter_program
from moat.runtimes.sandbox.spawn import memory_file, read_host_layout
from support.users import User

Change = Callable[[list[str]], list[str]]


def unchanged(arguments: list[str]) -> list[str]:
    """The box as it is."""
    return arguments


def without(*options: str) -> Change:
    """Leaves options out, each with its value: as many words as it is written with here."""

    def change(arguments: list[str]) -> list[str]:
        for option in options:
            words = option.split()
            at = find(arguments, words)
            arguments = arguments[:at] + arguments[at + len(words) :]
        return arguments

    return change


def find(arguments: list[str], words: list[str]) -> int:
    """Where some words stand; "*" is any one. Raises ValueError."""
    for at in range(len(arguments)):
        found = arguments[at : at + len(words)]
        if len(found) == len(words) and all(
            word in ("*", other) for word, other in zip(words, found, strict=True)
        ):
            return at
    raise ValueError(f"the box is made without {' '.join(words)}")


def with_host_files(arguments: list[str]) -> list[str]:
    """The same namespaces and filter, but every file of the host."""
    mounts = find(arguments, ["--clearenv"])
    environment = [arguments[mounts]]
    rest = arguments[mounts + 1 :]
    while rest[0] == "--setenv":
        environment, rest = environment + rest[:3], rest[3:]
    workspace = arguments[find(arguments, ["--bind", "*", "/workspace"]) + 1]
    whole = ["--dev-bind", "/", "/", "--chdir", workspace]
    return [*arguments[:mounts], *environment, *whole]


def run_twin(
    user: User,
    workspace: Path,
    command: Iterable[str],
    change: Change,
    *,
    environment: Mapping[str, str] | None = None,
    descriptors: Iterable[int] = (),
    options_on_command_line: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a twin, as a user, to its end.

    `environment` is bubblewrap's own, `descriptors` are passed on to it; a box has neither.
    """
    stage = user.new_directory()
    for name, content in etc_files(b"").items():
        file = stage / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    user.own(*stage.rglob("*"))
    spec = BoxSpec(
        workspace=workspace,
        command=tuple(command),
        environment={"PATH": "/usr/bin:/bin", "HOME": HOME},
        mounts=(),
        etc=stage / "etc",
        terminal=None,
    )
    seccomp = memory_file("seccomp", filter_program(os.uname().machine))
    numbers = Descriptors(info=0, seccomp=seccomp, start=0, workspace=0)
    arguments = bwrap_arguments(spec, read_host_layout(), numbers, init=str(user.init))
    # By its name: nobody swaps it here, and another user need not be handed a descriptor.
    at = find(arguments, ["--bind-fd", "0", "/workspace"])
    arguments[at : at + 2] = ["--bind", str(workspace)]
    at = find(arguments, ["--perms", "0444", "--ro-bind-data", "0", "/moat/start"])
    del arguments[at : at + 5]
    options = change(without("--info-fd 0")(arguments))
    given = memory_file("arguments", b"".join(os.fsencode(word) + b"\0" for word in options))
    start = options if options_on_command_line else ["--args", str(given)]
    try:
        return subprocess.run(
            [*user.become, str(user.bwrap), *start, "--", *spec.command],
            cwd="/",
            env=dict(environment or {}),
            pass_fds=[seccomp, given, *descriptors],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(seccomp)
        os.close(given)
