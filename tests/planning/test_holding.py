"""A limit that nothing here can hold is refused before there is a run."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from moat.core.limits import Limits
from moat.errors import UsageError
from moat.planning import holding
from moat.planning.holding import check_processors
from moat.runtimes.sandbox.cgroup import Controller, Place
from support.cli import Cli


@pytest.mark.parametrize("held", [(), ("memory", "pids")])
def test_processors_that_nothing_holds(
    monkeypatch: pytest.MonkeyPatch, held: Collection[Controller]
) -> None:
    """Also where groups hold other limits."""
    places = [Place(2, Path("/"), frozenset(held))] if held else []
    monkeypatch.setattr(holding, "find_places", lambda _: places)
    with pytest.raises(UsageError, match="nothing on this machine can hold") as caught:
        check_processors(Limits(cpus=1, memory=1 << 30))
    assert caught.value.hint is not None
    assert {"moat doctor", "--cpus none"} <= set(caught.value.hint.replace(": ", "; ").split("; "))


def test_processors_that_something_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: it is asked for what the limits want, and no more."""
    asked: list[set[str]] = []

    def find(wanted: Collection[Controller]) -> list[Place]:
        asked.append(set(wanted))
        return [Place(1, Path("/"), frozenset(wanted))]

    monkeypatch.setattr(holding, "find_places", find)
    check_processors(Limits(cpus=1, memory=1 << 30))
    assert [{"cpu", "memory"}] == asked


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_run_is_refused_without_a_record(user_cli: Cli, options: tuple[str, ...]) -> None:
    """With what was typed wrongly, and shown as it would be; where it can be held it is not."""
    look = "from moat.runtimes.sandbox.cgroup import find_places as f; exit(not f({'cpu'}))"
    holds = subprocess.run([*user_cli.python, "-c", look], check=False).returncode == 0
    done = user_cli.run("run", "--cpus", "1", *options, "--", "true")
    if holds:
        assert 0 == done.returncode, done.stderr
        return
    assert (2, "") == (done.returncode, done.stdout)
    assert "nothing on this machine can hold a run to a limit on processors" in done.stderr
    assert not [*user_cli.home.glob("runs/dc*")]
    assert [] == user_cli.runs()
