"""The command `moat`, driven as a person drives it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.standin import RunningStandIn

REAL_KEY = "sk-real-7f3a9c1e5b2d8064f7a1c3e9b5d20846"


@dataclass
class Cli:
    """`moat` with a home and a workspace.

    `python` starts it: the interpreter, with whatever must stand before it to become another user.
    """

    home: Path
    workspace: Path
    python: tuple[str, ...] = (sys.executable,)
    environment: dict[str, str] = field(default_factory=dict)

    def environ(self, **more: str) -> dict[str, str]:
        """A person's environment, without what the test runner's own may hold."""
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home.parent),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "MOAT_HOME": str(self.home),
        }
        return base | self.environment | more

    def command(self, *arguments: str) -> list[str]:
        """The argument list that starts it.

        -P: nothing in the workspace is imported, as nothing is by the installed command.
        """
        return [*self.python, "-P", "-m", "moat.cli.main", *arguments]

    @contextlib.contextmanager
    def started(
        self, *arguments: str, command: list[str] | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Start it, or another command, in the workspace; at the end it is killed if it runs."""
        process = subprocess.Popen(
            command or self.command(*arguments),
            cwd=self.workspace,
            env=self.environ(),
            text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            | options,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def runs(self) -> list[dict[str, Any]]:
        """What `moat list` says."""
        found: list[dict[str, Any]] = self.json("list")
        return found

    def run(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to the end, in the workspace."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.workspace,
            env=self.environ(**(env or {})),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What it prints with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def point_at(self, standin: RunningStandIn) -> None:
        """Let api.openai.com be the stand-in."""
        file = self.home / "config.yaml"
        file.write_text(
            f"upstream:\n  ca_file: {standin.ca_file}\n"
            f'  connect_to: {{"api.openai.com:443": "127.0.0.1:{standin.port}"}}\n'
        )
        file.chmod(0o600)
        owner = self.home.stat()
        os.chown(file, owner.st_uid, owner.st_gid)

    def grant(self, key: str = REAL_KEY, *options: str) -> None:
        """Grant the key, as a person does."""
        done = self.run("grant", "openai", *options, env={"OPENAI_API_KEY": key})
        assert done.returncode == 0, done.stderr

    def grant_unasked(self, key: str = REAL_KEY) -> None:
        """Grant the key where there is nobody to validate it."""
        done = self.run("grant", "openai", "--no-validate", env={"OPENAI_API_KEY": key})
        assert done.returncode == 0, done.stderr
