"""What a person is told when the API fails them: by Codex, and by Moat, which knows why."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from standin import Cut, Fault, Silence, Status
from support.cli import REAL_KEY, Cli
from support.standin import RunningStandIn
from support.users import link_tree

pytestmark = pytest.mark.e2e

API = "https://api.openai.com"
OTHER_KEY = "sk-other-2b9d1f7a3c5e8064d7f1a3b9c5e20817"
AGAIN = "grant it again: moat grant openai"
WAIT = "wait a while, or check the plan and billing of the account behind the grant"
FAULTS: dict[str, Fault | None] = {
    "another key": None,
    "429": Status(429),
    "500": Status(500),
    "cut": Cut(),
    "silence": Silence(),
}


@dataclass(frozen=True)
class Met:
    """How a run ended that met a fault."""

    code: int
    out: str
    err: str
    seconds: float
    trace: list[dict[str, Any]]
    files: list[str]


def meet(name: str, place: Path, tool_home: Path) -> Met:
    """Let Codex meet a fault, after a grant that went well."""
    cli = Cli(place / "home", place / "workspace")
    cli.home.mkdir(mode=0o700)
    cli.workspace.mkdir()
    link_tree(tool_home / "tools", cli.home / "tools", ignore=shutil.ignore_patterns(".work"))
    with RunningStandIn(place / "standin", key=REAL_KEY) as standin:
        cli.point_at(standin)
        cli.grant()
        standin.server.fault = FAULTS[name]
        if name == "another key":
            other = cli.run("grant", "openai", "--no-validate", env={"OPENAI_API_KEY": OTHER_KEY})
            assert 0 == other.returncode, other.stderr
        if name == "silence":
            config = cli.home / "config.yaml"
            config.write_text(config.read_text() + "  idle_timeout: 1\n")
        began = time.monotonic()
        done = cli.run("codex", "-p", "write the file")
        seconds = time.monotonic() - began
    files = [path.name for path in cli.workspace.iterdir()]
    return Met(done.returncode, done.stdout, done.stderr, seconds, cli.json("trace"), files)


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory, tool_home: Path) -> dict[str, Met]:
    """All of them side by side, as Codex tries again and again for half a minute."""
    places = [tmp_path_factory.mktemp("fault") for _ in FAULTS]
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        ended = pool.map(meet, FAULTS, places, [tool_home] * len(FAULTS))
        return dict(zip(FAULTS, ended, strict=True))


@pytest.mark.parametrize(
    ("fault", "happened", "hint"),
    [
        ("another key", f"the credential of grant openai was rejected (401) by {API}", AGAIN),
        ("429", f"the rate limit or quota of grant openai at {API} is used up (429)", WAIT),
        ("500", f"{API} fails itself (500)", "try again later"),
        ("cut", f"the answer of {API} was cut: the body ended early", "run: moat trace"),
        ("silence", f"{API} sent nothing for 1 s", "run: moat trace"),
    ],
)
def test_the_cause_is_named(met: dict[str, Met], fault: str, happened: str, hint: str) -> None:
    """Codex gives up by itself; after all it says, two lines tell what Moat met and what helps."""
    run = met[fault]
    assert (1, "", []) == (run.code, run.out, run.files), run.err
    assert [f"moat: {happened}", f"hint: {hint}"] == run.err.splitlines()[-2:]
    for key in (REAL_KEY, OTHER_KEY):
        assert key not in run.err


def test_a_service_that_falls_silent_is_given_up(met: dict[str, Met]) -> None:
    """Codex alone would wait for an hour: five minutes, and that again eleven times."""
    run = met["silence"]
    assert run.seconds < 100
    assert {"GET", "POST"} == {row["method"] for row in run.trace}
    told = {(row["outcome"], row["error"]) for row in run.trace}
    assert {("failed", f"{API} sent nothing for 1 s")} == told


def test_where_nothing_fails_nothing_is_hinted_at(codex_cli: Cli) -> None:
    """The twin: the same task at an API without a fault is done, and Moat is silent."""
    done = codex_cli.run("codex", "-p", "write the file")
    assert (0, "I wrote from-codex.txt.\n") == (done.returncode, done.stdout)
    assert "moat:" not in done.stderr
    assert "hint:" not in done.stderr
