"""Asking the git of this machine about a repository that an agent has written to.

Whatever a repository's settings would have git run is switched off: hooks, fsmonitor, filters,
pagers, helpers, transports. Submodules have settings of their own, so nothing is asked that goes
into them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from moat.core.redact import printable
from moat.errors import MoatError, ToolError

_SECONDS = 300.0  # a large repository takes its time to be checked out
_PASSED = ("HOME", "XDG_CONFIG_HOME", "TMPDIR")
_SET = {
    "LC_ALL": "C.UTF-8",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ASKPASS": "false",
    "GIT_EDITOR": "false",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_SSH_COMMAND": "false",
    "GIT_TERMINAL_PROMPT": "0",
}
# Said last, these come before whatever a repository says.
_OFF = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.alternateRefsCommand", ""),
    ("core.gitProxy", ""),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("branch.autoSetupMerge", "false"),
    ("worktree.useRelativePaths", "false"),
    ("commit.gpgSign", "false"),
)


class GitFailed(MoatError):
    """Git ended with an error, which the message says; `code` is its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class HostGit:
    """Git, found where nothing that a run can write to is looked at."""

    def __init__(self, environ: Mapping[str, str], changeable: Iterable[Path]) -> None:
        no = tuple(path.resolve() for path in changeable)

        def sound(folder: str) -> bool:
            real = Path(folder).resolve()
            return Path(folder).is_absolute() and not any(map(real.is_relative_to, no))

        path = os.pathsep.join(filter(sound, environ.get("PATH", "").split(os.pathsep)))
        program = shutil.which("git", path=path)
        if program is None or not sound(program):
            raise ToolError("git is not installed", hint="install it, for example: apt install git")
        self._program = program
        passed = {name: environ[name] for name in _PASSED if name in environ}
        self._environ = {**passed, **_SET, "PATH": path}

    def ask(self, where: Path, *words: str, off: Iterable[tuple[str, str]] = ()) -> str:
        """What git prints. Raises GitFailed."""
        settings = [*_OFF, *off]
        environ = dict(self._environ, GIT_CONFIG_COUNT=str(len(settings)))
        for number, (key, value) in enumerate(settings):
            environ[f"GIT_CONFIG_KEY_{number}"] = key
            environ[f"GIT_CONFIG_VALUE_{number}"] = value
        try:
            done = subprocess.run(
                [self._program, "--no-pager", *words],
                cwd=where,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitFailed(f"git {words[0]} took more than {_SECONDS:g} s", 1) from None
        except OSError as error:
            raise GitFailed(f"git cannot be started in {where}: {error.strerror}", 1) from None
        if done.returncode != 0:
            said = printable(done.stderr.decode(errors="replace").strip().removeprefix("fatal: "))
            raise GitFailed(said or f"git {words[0]} failed", done.returncode)
        return os.fsdecode(done.stdout)

    def without_filters(self, where: Path) -> list[tuple[str, str]]:
        """Settings that switch off every filter, and every hook, which a repository defines: a
        file that is checked out or compared goes through none."""
        names = self.ask(where, "config", "--null", "--name-only", "--list").split("\0")
        filters = {name.rpartition(".")[0] for name in names if name.startswith("filter.")}
        hooks = {name.rpartition(".")[0] for name in names if name.startswith("hook.")}
        return [(f"{one}.enabled", "false") for one in sorted(hooks)] + [
            (f"{one}.{key}", value)
            for one in sorted(filters)
            for key, value in (
                ("clean", ""),
                ("smudge", ""),
                ("process", ""),
                ("required", "false"),
            )
        ]
