"""What a person meets who runs Codex: exit codes, pipes, a terminal, Ctrl-C."""

from __future__ import annotations

import signal
import time

import pytest

from conftest import MakeStandIn
from standin import Say, Shell
from support.cli import Cli
from support.processes import processes_with, wait_gone, wait_until
from support.pty import Terminal

pytestmark = pytest.mark.e2e

WAITING = (Shell("touch ready; exec sleep 300"), Say("This is never said."))


@pytest.fixture
def granted(user_codex: Cli, make_standin: MakeStandIn) -> Cli:
    """Codex, a stand-in with the usual script, and the key granted."""
    user_codex.point_at(make_standin())
    user_codex.grant()
    return user_codex


def test_what_is_piped_in_reaches_codex(granted: Cli) -> None:
    """Codex takes its standard input, when something is piped into it, for more of the task."""
    done = granted.run("codex", "-p", "write the file", stdin="and mind the style\n")

    assert (0, "I wrote from-codex.txt.\n") == (done.returncode, done.stdout)
    assert "Reading additional input from stdin" in done.stderr


def test_a_terminal_is_not_waited_for(granted: Cli) -> None:
    """With a task and a terminal on standard input, nobody has to press Ctrl-D."""
    with (
        Terminal() as terminal,
        terminal.running(granted, *granted.command("codex", "-p", "write the file")) as process,
    ):
        assert terminal.wait(process, 60) == 0
        assert b"I wrote from-codex.txt." in terminal.look()


@pytest.mark.parametrize("how", ["signal", "keys"])
def test_ctrl_c_ends_everything_at_once(
    user_codex: Cli, make_standin: MakeStandIn, how: str
) -> None:
    """Ctrl-C during a task: 130 within seconds, no process left, no staged file, and a record."""
    user_codex.point_at(make_standin(script=WAITING))
    user_codex.grant()
    token = f"wait-{time.monotonic_ns()}"
    ready = user_codex.workspace / "ready"

    if how == "signal":
        with user_codex.started("codex", "-p", token) as client:
            wait_until(ready.exists, seconds=60, what="Codex asked the API")
            began = time.monotonic()
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=30)
            code = client.returncode
    else:
        with (
            Terminal() as terminal,
            terminal.running(user_codex, *user_codex.command("codex", "-p", token)) as process,
        ):
            wait_until(ready.exists, seconds=60, what="Codex asked the API")
            assert processes_with(token)
            began = time.monotonic()
            terminal.type(b"\x03")
            code = terminal.wait(process)

    assert code == 130
    assert time.monotonic() - began < 4
    wait_gone(token, seconds=1)
    (run,) = user_codex.runs()
    assert ("stopped", 130) == (run["state"], run["exit_code"])
    assert not (user_codex.home / "runs" / run["run"] / "stage").exists()
