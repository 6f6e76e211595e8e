"""The main job, with the real Codex CLI in the box."""

from __future__ import annotations

import hashlib

import pytest

from support.cli import REAL_KEY, Cli
from support.standin import RunningStandIn

pytestmark = pytest.mark.e2e


def test_a_task_is_done_over_websocket(codex_cli: Cli, standin: RunningStandIn) -> None:
    """Codex does its task with a key it never holds, and the trace says so."""
    done = codex_cli.run("codex", "-p", "write the file")

    assert (0, "I wrote from-codex.txt.\n") == (done.returncode, done.stdout)
    assert "written by codex\n" == (codex_cli.workspace / "from-codex.txt").read_text()
    bearer = hashlib.sha256(f"Bearer {REAL_KEY}".encode()).hexdigest()
    assert {bearer} == {seen.authorization_digest for seen in standin.server.seen}
    (exchange,) = codex_cli.json("trace")
    assert ("GET", 101, "forwarded", ["openai"]) == (
        exchange["method"],
        exchange["status"],
        exchange["outcome"],
        exchange["grants"],
    )


def test_a_codex_that_others_can_change_is_not_run(codex_cli: Cli) -> None:
    """It would be theirs; closed again, it is run."""
    (installed,) = (codex_cli.home / "tools" / "codex-cli").iterdir()
    installed.chmod(0o777)
    done = codex_cli.run("codex", "-p", "write the file")
    assert (1, True) == (done.returncode, "may be written to by others" in done.stderr)
    assert [] == codex_cli.runs()
    installed.chmod(0o755)
    assert 0 == codex_cli.run("codex", "-p", "write the file").returncode
