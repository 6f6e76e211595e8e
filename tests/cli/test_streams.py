"""In a pipe, a script or a terminal a run behaves as its command would there by itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.cli import Cli

SHELL = "sh", "-c"


def piped(cli: Cli, script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A line of shell in which `$MOAT` is the command; bash, for its PIPESTATUS."""
    moat = " ".join(cli.command())
    return subprocess.run(
        ["bash", "-c", script],
        cwd=cli.workspace,
        env=cli.environ(MOAT=moat),
        text=True,
        timeout=60,
        **({"stdin": subprocess.DEVNULL, "capture_output": True} | options),
    )


def test_input_output_and_code_are_the_commands(cli: Cli) -> None:
    """What goes in, what comes out on each side, and how it ends."""
    script = "cat; echo problem >&2; exit 7"
    done = cli.run("run", "--", *SHELL, script, stdin="some input\n")
    assert (7, "some input\n", "problem\n") == (done.returncode, done.stdout, done.stderr)


def test_much_goes_through_whole(cli: Cli, tmp_path: Path) -> None:
    """Megabytes both ways, byte for byte, and the transcript holds the same."""
    data = os.urandom(1 << 20) * 3
    (tmp_path / "in").write_bytes(data)
    done = piped(cli, f"$MOAT run -- cat < {tmp_path}/in > {tmp_path}/out")
    assert (0, "") == (done.returncode, done.stderr)
    assert data == (tmp_path / "out").read_bytes()
    (transcript,) = cli.home.glob("runs/*/transcript.log")
    assert data == transcript.read_bytes()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("yes", 141),  # killed by the broken pipe
        ("sh -c 'trap \"\" PIPE; while echo y; do :; done 2>/dev/null; exit 9'", 9),
        ("sh -c 'echo y; exit 3'", 3),  # had said it all
    ],
)
def test_a_reader_that_goes_breaks_the_pipe(cli: Cli, command: str, code: int) -> None:
    """The command's next write fails, and what it makes of that is its own affair."""
    done = piped(cli, f"$MOAT run -- {command} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert (f"y\n{code}\n", "") == (done.stdout, done.stderr)
    assert ["stopped"] == [run["state"] for run in cli.json("list")]


def test_a_reader_of_errors_may_go_alone(cli: Cli) -> None:
    """Standard output goes on when standard error is closed, and the other way about."""
    script = "echo one; echo x >&2; sleep 0.3; echo x >&2; echo two"
    done = piped(cli, f"$MOAT run -- sh -c 'trap \"\" PIPE; {script}' 2> >(true)")
    assert (0, "one\ntwo\n") == (done.returncode, done.stdout)
    other = "echo x; sleep 0.3; echo x; echo heard >&2"
    done = piped(cli, f"$MOAT run -- sh -c 'trap \"\" PIPE; {other}' > >(true)")
    assert "heard" in done.stderr


def test_a_full_disk_is_told(cli: Cli) -> None:
    """Output that cannot be written is a failure, even where the command did not mind."""
    done = piped(cli, "$MOAT run -- sh -c 'echo x; sleep 0.3; exit 0' > /dev/full")
    assert "moat: the run's output cannot be written: No space left on device\n" == done.stderr
    assert 1 == done.returncode


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        ("<&-", "in: \nout\n", "err\n"),
        (">&-", "", "err\n"),
        ("2>&-", "in: \nout\n", ""),
        ("<&- >&- 2>&-", "", ""),
    ],
)
def test_what_is_closed_is_empty(cli: Cli, closed: str, out: str, err: str) -> None:
    """Started without a stream a run has an empty one, and no other file gets its output."""
    script = 'read x; echo "in: $x"; echo out; echo err >&2; exit 4'
    done = piped(cli, f"$MOAT run -- sh -c '{script}' {closed}")
    assert (4, out, err) == (done.returncode, done.stdout, done.stderr)
    assert {"in: ", "out", "err"} == set(cli.run("logs").stdout.splitlines())


@pytest.mark.parametrize(
    "arguments", ["list", "logs", "--help", "grant openai", "codex", "frobnicate"]
)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_command_needs_all_streams(cli: Cli, arguments: str, closed: str) -> None:
    """Whatever is closed, a command ends as it would, and never with a traceback."""
    usual = piped(cli, f"$MOAT {arguments}")
    done = piped(cli, f"$MOAT {arguments} {closed}")
    assert usual.returncode == done.returncode
    assert ("" if "2>&-" in closed else usual.stderr) == done.stderr
    assert ("" if " >&-" in f" {closed}" else usual.stdout) == done.stdout


def test_input_is_left_for_the_next(cli: Cli) -> None:
    """A command that reads nothing ends at once, however much was piped to it."""
    done = piped(cli, "yes | $MOAT run -- true; echo ${PIPESTATUS[1]}")
    assert ("0\n", "") == (done.stdout, done.stderr)


def test_an_open_input_does_not_keep_a_run(cli: Cli) -> None:
    """With a pipe that nobody writes to, a command that does not read ends as ever."""
    reads, writes = os.pipe()
    done = piped(cli, "$MOAT run -- echo done", stdin=reads)
    os.close(reads)
    os.close(writes)
    assert (0, "done\n") == (done.returncode, done.stdout)


def test_a_code_of_130_is_no_interruption(cli: Cli) -> None:
    """Where nobody pressed Ctrl-C nothing is said of it."""
    done = cli.run("run", "--", *SHELL, "exit 130")
    assert (130, "") == (done.returncode, done.stderr)
