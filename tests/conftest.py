"""What the tests share: a home with the real Codex CLI in it, the command line, the stand-in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import REAL_KEY, Cli
from support.standin import RunningStandIn

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def tool_home() -> Path:
    """A MOAT_HOME that has the Codex CLI, installed once for the whole work tree."""
    from moat.tools.catalogue import CODEX_CLI
    from moat.tools.install import ensure_tool
    from moat.tools.progress import progress_on

    home = ROOT / ".cache" / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open("/dev/stderr", "w") as stderr:
        ensure_tool(CODEX_CLI, home=home, progress=progress_on(stderr))
    return home


@pytest.fixture(scope="session")
def codex_binary(tool_home: Path) -> Path:
    """The real Codex CLI."""
    from moat.tools.catalogue import CODEX_CLI
    from moat.tools.install import find_installed

    directory = find_installed(CODEX_CLI, tool_home)
    assert directory is not None
    return directory / "bin" / "codex"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command `moat` with a home and a workspace of its own, and nothing granted."""
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    home.mkdir(mode=0o700)
    workspace.mkdir()
    return Cli(home, workspace)


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[RunningStandIn]:
    """A stand-in for the OpenAI API that takes REAL_KEY and nothing else."""
    with RunningStandIn(tmp_path / "standin", key=REAL_KEY) as running:
        yield running


@pytest.fixture
def codex_cli(cli: Cli, tool_home: Path, standin: RunningStandIn) -> Cli:
    """`moat` with Codex installed, pointed at the stand-in, and the key granted."""
    link_tree(tool_home / "tools", cli.home / "tools")
    cli.point_at(standin)
    cli.grant()
    return cli


def link_tree(source: Path, target: Path) -> None:
    """A copy that shares the bytes, where the file system can."""

    def link(a: str, b: str) -> str:
        try:
            os.link(a, b)
        except OSError:
            shutil.copy2(a, b)
        return b

    shutil.copytree(source, target, copy_function=link, ignore=shutil.ignore_patterns(".work"))
