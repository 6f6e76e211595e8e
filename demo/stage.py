"""What the demo plays on: a stand-in for the API, a small repository, a MOAT_HOME of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SEARCH = "search-the-box.sh"
FOUND = "found-in-the-box.txt"
POEM = "HAIKU.txt"
ELSEWHERE = "example.com"
TASK = (
    f"Write a haiku about moats to {POEM}. Fetch https://{ELSEWHERE}/attic.git. "
    "Then look for API keys in your box."
)

# What the model at the other end will say and do: the stand-in plays this part.
SCRIPT = [
    {"shell": "cat README.md"},
    {
        "shell": f"printf '%s\\n' 'Water all around:' 'the key stays on the far shore,' "
        f"'the work still gets done.' > {POEM} && cat {POEM}"
    },
    {"shell": f"git ls-remote https://{ELSEWHERE}/attic.git || true"},
    {"shell": f"sh {SEARCH} > {FOUND} 2>&1; wc -l < {FOUND}"},
    {"say": f"I wrote {POEM}, and searched the box for keys: what I found is in {FOUND}."},
]


class DemoFailed(Exception):
    """Something is not as the demo says it is."""


@dataclass
class Stage:
    """Where everything is, and the key only the stand-in and the vault know."""

    root: Path
    key: str
    standin: subprocess.Popen[str]

    @property
    def home(self) -> Path:
        """The demo's MOAT_HOME; the Codex CLI stays in it from one demo to the next."""
        return self.root / "home"

    @property
    def workspace(self) -> Path:
        """The repository Codex works on."""
        return self.root / "workspace"

    def environment(self, **more: str) -> dict[str, str]:
        """The person's environment with the demo's MOAT_HOME, and without keys of their own."""
        mine = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
        return {**mine, "MOAT_HOME": str(self.home), **more}

    def moat(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        """Run `moat` as a person would, on the terminal they are looking at."""
        sys.stdout.flush()
        return subprocess.run(
            [sys.executable, "-P", "-m", "moat.cli.main", *arguments],
            cwd=self.workspace,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def moat_json(self, *arguments: str) -> list[dict[str, object]]:
        """What `moat … --json` prints."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "moat.cli.main", *arguments, "--json"],
            cwd=self.workspace,
            env=self.environment(),
            capture_output=True,
            check=True,
        )
        rows: list[dict[str, object]] = json.loads(done.stdout)
        return rows

    def seen(self) -> list[dict[str, object]]:
        """Every request the stand-in got."""
        lines = (self.root / "standin" / "seen.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.standin.terminate()
        self.standin.wait(10)


def set_the_stage(root: Path) -> Stage:
    """Make everything anew but the installed tools. Raises DemoFailed."""
    root.mkdir(mode=0o700, exist_ok=True)
    for name in ("workspace", "standin", "home/credentials", "home/runs"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "home").mkdir(mode=0o700, exist_ok=True)
    key = "sk-demo-" + secrets.token_hex(20)
    stage = Stage(root, key, _start_standin(root / "standin", key))
    ready = json.loads(stage.standin.stdout.readline() or "null") if stage.standin.stdout else None
    if ready is None:
        raise DemoFailed("the stand-in for the OpenAI API did not start")
    _write_settings(stage.home, ready["port"], ready["ca_file"])
    _make_repository(stage.workspace)
    return stage


def _start_standin(directory: Path, key: str) -> subprocess.Popen[str]:
    directory.mkdir(mode=0o700)
    script = directory / "script.json"
    script.write_text(json.dumps(SCRIPT))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "standin", "--key-env", "STANDIN_KEY"),
            *("--dir", directory, "--script", script, "--pace", "0.03"),
        ],
        cwd=HERE,
        env={**os.environ, "STANDIN_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _write_settings(home: Path, port: int, ca_file: str) -> None:
    file = home / "config.yaml"
    file.write_text(
        "# Written by the demo: api.openai.com is the stand-in on this machine.\n"
        f"upstream:\n  ca_file: {json.dumps(ca_file)}\n"
        f'  connect_to: {{"api.openai.com:443": "127.0.0.1:{port}"}}\n'
    )
    file.chmod(0o600)


def _make_repository(workspace: Path) -> None:
    workspace.mkdir()
    (workspace / "README.md").write_text("# A small project\n\nIt wants a haiku about moats.\n")
    shutil.copy(HERE / SEARCH, workspace)
    who = ["-c", "user.name=Demo", "-c", "user.email=demo@example.com"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "A small project"]):
        subprocess.run(["git", *arguments], cwd=workspace, check=True, capture_output=True)
