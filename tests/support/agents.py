"""Agents that do things in the workspace of a person, and what that person is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.cli import Cli
from support.guarding import Place
from support.users import User

REPOSITORY = "git init -q -b main . && echo a > a && git add a && git commit -qm one;"
SUBMODULE = (
    "mkdir ../lib; (cd ../lib; git init -q -b main .; git commit -q --allow-empty -m l);"
    + REPOSITORY
    + 'git submodule --quiet add "$PWD/../lib" sub; git commit -qm sub;'
)
COMMON = 'C=$(git rev-parse --git-common-dir); cd "$C";'


class Agent:
    """Runs of one person in one workspace."""

    def __init__(self, user: User, cli: Cli) -> None:
        self.cli = cli
        self.user = user
        self.place = Place(user, cli.home.parent)
        self.workspace = cli.workspace

    def run(self, script: str, *options: str) -> dict[str, Any]:
        """The files of the receipt of a run that has done this."""
        script = f"echo >> ran; {script}; true"
        done = self.cli.run("run", *options, "--", "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        files: dict[str, Any] = self.cli.json("receipt")["files"]
        return files

    def refused(self) -> str:
        """What it says of a run that does not begin."""
        done = self.cli.run("run", "--", "true")
        assert done.returncode != 0
        return done.stderr

    def git(self, where: str, *words: str) -> str:
        """What the person's git says."""
        return self.place.on_host(f"git -C {where} {' '.join(words)}", check=False).stdout


def agents(user: User, cli: Cli) -> Iterator[Agent]:
    """Somebody's, and what it has closed is open again at the end."""
    yield Agent(user, cli)
    for path in (cli.workspace, *cli.workspace.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def by_itself(files: dict[str, Any]) -> set[str]:
    return {item["path"] for item in files["executed"] if not item["asked"]}
