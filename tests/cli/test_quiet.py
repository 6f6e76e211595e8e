"""How much is told of a run's end at a terminal."""

from __future__ import annotations

import pytest

from support.cli import Cli
from support.pty import Terminal
from support.runs import ending_all, start_in_background

RECEIPT = b": exit code 0, after "
WAITS = "while [ ! -e go ]; do sleep 0.05; done"


def seen(cli: Cli, *words: str) -> bytes:
    """What a person sees of a command line that ends well."""
    with Terminal() as terminal:
        with terminal.running(cli, *cli.command(*words)) as process:
            assert 0 == terminal.wait(process), terminal.seen
        return terminal.seen


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_a_receipt_is_shown_unless_it_is_to_be_quiet(cli: Cli, option: str) -> None:
    """What the command prints is left."""
    assert RECEIPT in seen(cli, "run", "--", "echo", "hi")
    said = seen(cli, "run", option, "--", "echo", "hi")
    assert b"hi\r\n" in said
    assert b"run dc" not in said


def test_what_would_run_here_is_told_all_the_same(cli: Cli) -> None:
    """That is no courtesy."""
    said = seen(cli, "run", "-q", "--", "sh", "-c", "echo all: > Makefile")
    assert b"would run something on this machine" in said
    assert b"Makefile (make runs it)" in said


@pytest.mark.parametrize("quiet", [True, False])
def test_who_attaches_is_told_as_much(cli: Cli, *, quiet: bool) -> None:
    """By the same option."""
    with ending_all(cli):
        run = start_in_background(cli, "sh", "-c", WAITS)
        options = ("-q",) if quiet else ()
        with Terminal() as terminal:
            with terminal.running(cli, *cli.command("attach", *options, run)) as process:
                terminal.look(1)
                (cli.workspace / "go").touch()
                assert 0 == terminal.wait(process)
            assert quiet is (RECEIPT not in terminal.seen)
