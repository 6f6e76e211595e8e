"""Sessions outlive their runs, each workspace's for itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.cli import Cli
from support.standin import RunningStandIn

pytestmark = pytest.mark.e2e


def sessions(cli: Cli) -> list[Path]:
    return sorted((cli.home / "codex" / "sessions").rglob("rollout-*.jsonl"))


def test_a_session_goes_on(codex_cli: Cli, standin: RunningStandIn, tmp_path: Path) -> None:
    """The last one, or the one of an id; the same file grows. Another workspace sees nothing of
    it, and nothing but sessions is kept."""
    assert 0 == codex_cli.run("codex", "-p", "first words").returncode
    (file,) = sessions(codex_cli)
    first = file.read_text()
    assert "first words" in first
    session = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", file.name)
    assert session is not None

    for how in (["--resume"], [f"--resume={session[0]}"], ["--resume", str(codex_cli.workspace)]):
        before = file.read_text()
        done = codex_cli.run("codex", *how, "-p", "second words")
        assert 0 == done.returncode, done.stderr
        assert [file] == sessions(codex_cli)
        assert file.read_text().startswith(before)
        assert "second words" in file.read_text().removeprefix(before)

    other = tmp_path / "other" / "workspace"
    other.mkdir(parents=True)
    done = codex_cli.run("codex", "--resume", "-p", "third words", str(other))
    assert (2, True) == (done.returncode, "there is no session of this workspace" in done.stderr)
    done = codex_cli.run("run", "-w", str(other), "--", "sh", "-c", "ls -A ~ ~/.codex/sessions")
    assert "rollout" not in done.stdout
    kept = {path.suffix for path in (codex_cli.home / "codex").rglob("*") if path.is_file()}
    assert {".jsonl"} == kept


def test_what_is_kept_is_closed_to_others(codex_cli: Cli) -> None:
    """It holds what the agent read."""
    assert 0 == codex_cli.run("codex", "-p", "first words").returncode
    (file,) = sessions(codex_cli)
    for folder in file.relative_to(codex_cli.home).parents:
        if folder != Path():
            top = codex_cli.home / folder
            if top.parent.name == "sessions" or top.name in ("codex", "sessions"):
                assert 0 == top.stat().st_mode & 0o077, top


def test_a_project_can_keep_nothing(codex_cli: Cli) -> None:
    """With codex.sync_logs false the session ends with its box."""
    (codex_cli.workspace / "moat.yaml").write_text("codex: {sync_logs: false}\n")
    assert 0 == codex_cli.run("codex", "--trust", "-p", "first words").returncode
    assert [] == sessions(codex_cli)
    assert 2 == codex_cli.run("codex", "--resume", "-p", "second words").returncode


def test_the_project_and_options_reach_codex(codex_cli: Cli) -> None:
    """The model of the option before the project's, and the project's own keys."""
    (codex_cli.workspace / "moat.yaml").write_text(
        "codex: {model: gpt-5.2, config: {model_reasoning_effort: low}}\n"
    )
    done = codex_cli.run("codex", "--trust", "-p", "go")
    assert 0 == done.returncode
    assert "model: gpt-5.2" in done.stderr
    assert "reasoning effort: low" in done.stderr
    done = codex_cli.run("codex", "--model", "gpt-5.1", "-p", "go")
    assert "model: gpt-5.1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--noyolo", "-p", "x"], "it would run no command"),
        (["--full-auto=false", "-p", "x"], "it would run no command"),
        (["--full-auto=maybe", "-p", "x"], "is none of "),
        (["--full-auto", "--noyolo"], "are opposites"),
        (["--resume=nonsense", "-p", "x"], "is no id of a session"),
        (["-p", "x", "--", "y"], "another after the two dashes"),
        (["--rebuild", "-p", "x"], "unrecognized arguments: --rebuild"),
        (["--json", "-p", "x"], "--json goes with --dry-run"),
    ],
)
def test_what_makes_no_sense_is_told(cli: Cli, arguments: list[str], reason: str) -> None:
    """Before anything is made."""
    done = cli.run("codex", *arguments)
    assert (2, True) == (done.returncode, reason in done.stderr), done.stderr
    assert [] == cli.runs()


def test_full_auto_is_accepted_and_deprecated(cli: Cli) -> None:
    """It says what to do instead, and means what it did."""
    cli.grant_unasked()
    plans = {}
    for option in ("--full-auto", "--full-auto=true", "--full-auto=false", "--noyolo"):
        done = cli.run("codex", option, "--dry-run", "--json")
        assert (0, "noyolo" not in option) == (done.returncode, "deprecated" in done.stderr)
        plans[option] = json.loads(done.stdout)
    (with_it,) = [f for f in plans["--full-auto"]["files"] if f["path"].endswith("config.toml")]
    assert 'approval_policy = "never"' in with_it["content"]
    assert plans["--full-auto"] == plans["--full-auto=true"]
    assert plans["--noyolo"] == plans["--full-auto=false"] != plans["--full-auto"]
