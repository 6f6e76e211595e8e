"""Workspaces that are guarded, seen from the host and from a box, as any user."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.users import User

PROGRAM = Path(__file__).with_name("in_guarded_box.py")


@dataclass
class Place:
    """A workspace of a user beside a home of Moat's, and a file that only an attack makes."""

    user: User
    directory: Path

    @classmethod
    def of(cls, user: User) -> Place:
        place = cls(user, user.new_directory())
        for directory in (place.home, place.workspace):
            directory.mkdir(mode=0o700)
            user.own(directory)
        return place

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    @property
    def mark(self) -> Path:
        return self.directory / "mark"

    def on_host(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the workspace, as the person does."""
        return subprocess.run(
            [*self.user.become, "/bin/sh", "-ec" if check else "-c", script],
            cwd=self.workspace,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def in_box(self, script: str, **more: Any) -> dict[str, Any]:
        """Run a shell script in a box on the workspace."""
        asked = {"home": str(self.home), "workspace": str(self.workspace), "script": script, **more}
        done = subprocess.run(
            [
                *self.user.become,
                str(self.user.python),
                "-c",
                PROGRAM.read_text(),
                json.dumps(asked),
            ],
            cwd="/",
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "MARK": str(self.mark),
            "GIT_AUTHOR_NAME": "somebody",
            "GIT_AUTHOR_EMAIL": "somebody@example.com",
            "GIT_COMMITTER_NAME": "somebody",
            "GIT_COMMITTER_EMAIL": "somebody@example.com",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file",
        }

    def left(self) -> list[str]:
        """What Moat has made in the workspace and not taken away."""
        return [
            str(path.relative_to(self.workspace))
            for path in self.workspace.rglob("*")
            if path.is_socket() or path.name in ("commondir", "config.worktree")
            if "worktrees" not in path.parts
        ]
