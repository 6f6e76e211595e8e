"""What happened to a run, as a person reads it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from moat.cli.happened import line_of
from moat.run.record import RunDirectory, RunRecord
from support.cli import Cli

RUN = "dc1eh6tndp"
MOMENT = 1795407998.7105849


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"event": "created"}, "created"),
        (
            {"event": "stopped", "ended": MOMENT, "duration": 1.7869, "exit_code": 143,
             "error": None, "limit": None, "stopped_by": "SIGTERM"},
            "stopped       exit code 143, after 1.8 s, ended by SIGTERM",
        ),
        (
            {"event": "failed", "duration": 0.1, "exit_code": 1, "error": "no box"},
            "failed        exit code 1, after 0.1 s, no box",
        ),
        ({"event": "attached", "drives": True}, "attached      drives"),
        ({"event": "detached", "drives": False}, "detached      watched"),
        (
            {"event": "executed", "command": ["echo", "a b"], "exit_code": 0},
            "executed      echo 'a b': exit code 0",
        ),
        ({"event": "asked to end", "signal": 15}, "asked to end  SIGTERM"),
        ({"event": "limit", "limit": "wall", "text": "it was long"}, "limit         it was long"),
        ({"event": "new", "size": 1.23456789, "why": "x"}, "new           size 1.23457, why x"),
        ({"event": "executed", "command": 5}, "executed      command 5"),
        ({"event": "stopped", "duration": "x"}, "stopped       duration x"),
        ({"event": "asked to end", "signal": 900}, "asked to end  signal 900"),
    ],
)  # fmt: skip
def test_an_event_is_told(event: dict[str, Any], told: str) -> None:
    """When, of which run, what, in columns; in words, or as it is where it is nothing we know."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(MOMENT))
    assert f"{clock}  {RUN}  {told}" == line_of({"time": MOMENT, "run": RUN, **event})


@pytest.fixture
def happened(cli: Cli) -> RunDirectory:
    """A run with five events, one an hour until now."""
    directory = RunDirectory(cli.home / "runs", RUN)
    directory.root.mkdir(mode=0o700, parents=True)
    directory.write(RunRecord(RUN, "stopped", 1000.0, "/w", ("true",)))
    now = time.time()
    lines = [
        json.dumps({"time": now - 3600 * (4 - number), "run": RUN, "event": f"e{number}"})
        for number in range(5)
    ]
    directory.events.write_text("\n".join(lines) + "\n")
    return directory


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), "01234"),
        (("-n", "2"), "34"),
        (("-n", "0"), ""),
        (("-n", "9"), "01234"),
        (("--since", "90m"), "34"),
        (("--since", "2h30m", "-n", "1"), "4"),
        (("--since", "2920-01-01"), ""),
        (("-f", "-n", "1"), "4"),
    ],
)
@pytest.mark.usefixtures("happened")
def test_some_of_them_are_shown(cli: Cli, words: tuple[str, ...], shown: str) -> None:
    """The last, and those since then; to a program as well."""
    done = cli.run("events", *words, RUN)
    assert (0, "") == (done.returncode, done.stderr)
    assert [f"e{number}" for number in shown] == [x.split()[3] for x in done.stdout.splitlines()]
    data = cli.run("events", "--json", *words, RUN).stdout.splitlines()
    assert [f"e{number}" for number in shown] == [json.loads(line)["event"] for line in data]


@pytest.mark.parametrize("words", [("-n", "x"), ("--since", "soon")])
def test_what_is_none_is_told(cli: Cli, words: tuple[str, ...]) -> None:
    """As by `moat logs`."""
    done, other = cli.run("events", *words), cli.run("logs", *words)
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr == other.stderr
    assert "hint: for example: " in done.stderr
