"""What the tests share: a home with the real Codex CLI in it, the command line, the stand-in."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cli import REAL_KEY, Cli
from support.standin import RunningStandIn
from support.users import (
    User,
    link_tree,
    the_runner,
    the_unprivileged,
    world_readable_place,
)

ROOT = Path(__file__).parent.parent


# Started by `nohup`, we would hand it on that this is ignored, and nobody would hear a hang-up.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def tool_home() -> Path:
    """A MOAT_HOME that has the Codex CLI, installed once for the whole work tree."""
    from moat.tools.catalogue import CODEX_CLI
    from moat.tools.install import ensure_tool
    from moat.tools.progress import progress_on

    home = ROOT / ".cache" / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Path("/dev/stderr").open("w") as stderr:
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
    link_tree(tool_home / "tools", cli.home / "tools", ignore=shutil.ignore_patterns(".work"))
    cli.point_at(standin)
    cli.grant()
    return cli


@pytest.fixture(scope="session")
def users() -> Iterator[dict[str, User]]:
    """Those the tests can run commands as: root and somebody else, or whoever runs the tests."""
    with world_readable_place() as place:
        runner = the_runner(place)
        found = {runner.name: runner}
        if runner.name == "root":
            found["unprivileged"] = the_unprivileged(place)
        yield found


@pytest.fixture(scope="session", params=["root", "unprivileged"])
def user(request: pytest.FixtureRequest, users: dict[str, User]) -> User:
    """Everything is shown as root and as somebody without any rights."""
    if request.param not in users:
        pytest.skip("the tests are not run by root")
    return users[request.param]


@pytest.fixture
def user_cli(user: User) -> Cli:
    """The command `moat` as that user, with nothing granted."""
    return user.cli()


@pytest.fixture(scope="session")
def user_tools(user: User, tool_home: Path) -> Path:
    """The tools of a MOAT_HOME, where that user can reach them."""
    tools = user.new_directory() / "tools"
    link_tree(tool_home / "tools", tools, ignore=shutil.ignore_patterns(".work"))
    user.own(tools, *(path for path in tools.rglob("*") if path.is_dir()))
    return tools


MakeStandIn = Callable[..., RunningStandIn]


@pytest.fixture
def make_standin(user: User) -> Iterator[MakeStandIn]:
    """Makes stand-ins for the OpenAI API whose certificate that user can read."""
    with contextlib.ExitStack() as stack:

        def make(*, key: str = REAL_KEY, **options: Any) -> RunningStandIn:
            directory = user.new_directory()
            directory.chmod(0o755)
            return stack.enter_context(RunningStandIn(directory, key=key, **options))

        yield make


@pytest.fixture
def user_codex(user: User, user_cli: Cli, user_tools: Path) -> Cli:
    """`moat` as that user, with Codex installed; not pointed at anything, nothing granted."""
    link_tree(user_tools, user_cli.home / "tools")
    user.own(*(path for path in (user_cli.home / "tools").rglob("*") if path.is_dir()))
    user.own(user_cli.home / "tools")
    return user_cli
