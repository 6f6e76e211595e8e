"""What a run may use up, by what was typed, what the project says, and what is set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.cli import Cli


def limits_of(cli: Cli, *options: str) -> dict[str, Any]:
    """Those of a run that is shown and not started."""
    done = cli.run("run", "--dry-run", "--json", "--trust", *options, "--", "true")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["limits"]
    return found


def test_every_run_has_some(cli: Cli) -> None:
    """Nobody has to ask for what keeps the host."""
    found = limits_of(cli)
    assert (None, None, 4096) == (found["timeout"], found["cpus"], found["pids"])
    assert 0 < found["disk"] < found["memory"]
    assert 0 < found["files"] <= 65_536


def test_options_come_before_the_project_and_that_before_the_settings(cli: Cli) -> None:
    """Each limit by itself; `none` is something that is said."""
    cli.home.joinpath("config.yaml").write_text("limits: {memory: 1g, pids: 100, disk: 1g}\n")
    cli.home.joinpath("config.yaml").chmod(0o600)
    cli.workspace.joinpath("moat.yaml").write_text("limits: {memory: 2g, pids: 200, cpus: 1.5}\n")

    found = limits_of(cli, "--memory", "3g", "--cpus", "none", "--timeout", "90s")

    expected = {"timeout": 90, "memory": 3 << 30, "pids": 200, "cpus": None, "disk": 1 << 30}
    assert expected == {name: found[name] for name in expected}


@pytest.mark.parametrize(
    ("option", "text", "why"),
    [
        ("--memory", "512", "did you forget the unit?"),
        ("--timeout", "soon", "is not a duration such as 90s, 1h30m or 7d"),
        ("--pids", "1", "too few processes to run anything"),
        ("--cpus", "half", "is not a number of processors"),
        ("--disk", "-1g", "is not a size"),
    ],
)
def test_what_is_no_limit_is_told_with_its_option(
    cli: Cli, option: str, text: str, why: str
) -> None:
    """And what to type for none."""
    done = cli.run("run", f"{option}={text}", "--", "true")
    assert done.returncode == 2
    assert option in done.stderr
    assert why in done.stderr
    assert f"for no limit: {option} none" in done.stderr


def test_they_are_shown_as_people_read_them(cli: Cli) -> None:
    """In the words of the options."""
    done = cli.run("run", "--dry-run", "--memory", "512m", "--timeout", "90m", "--", "true")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("limits ")]
    assert "timeout 1 h 30 min, memory 512 MiB, pids 4096, cpus none" in line
