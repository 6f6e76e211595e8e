"""The terminal interface of the real Codex, as a person meets it in a terminal of theirs."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path

import pytest

from standin import Say, Shell, Turn
from support.cli import REAL_KEY, Cli
from support.processes import wait_until
from support.runs import ending_all
from support.standin import RunningStandIn
from support.tmux import Tmux, modes_left
from support.users import link_tree

pytestmark = pytest.mark.e2e

ARROW = "\u203a"
SMALL, LARGE = (80, 24), (132, 43)
# What is typed before the status line names the model may be lost.
STATUS = "GPT-6.1-Sol default · /workspace"
READY = (f"{ARROW} Ask Codex to do anything", STATUS)
# One row of a large terminal, two of a small one.
PROMPT = (
    "please write the file from-codex.txt, and be so kind as to tell me what is in it afterwards"
)
ROWS = {SMALL: 2, LARGE: 1}


MakeApi = Callable[..., RunningStandIn]


@pytest.fixture
def make_api(tmp_path: Path) -> Iterator[MakeApi]:
    """Makes a stand-in for the API with a script."""
    with ExitStack() as stack:

        def make(*script: Turn) -> RunningStandIn:
            return stack.enter_context(
                RunningStandIn(tmp_path / "api", key=REAL_KEY, script=script)
            )

        yield make


def composed(screen: list[str]) -> list[str]:
    """The rows of what is being typed, from the last on the screen that begins with an arrow."""
    arrows = [number for number, row in enumerate(screen) if row.startswith(ARROW)]
    return list(takewhile(bool, screen[arrows[-1] :])) if arrows else []


def is_drawn(terminal: Tmux, size: tuple[int, int]) -> bool:
    """Whether the prompt is wrapped for this size, and the status line at the bottom of it."""
    screen = terminal.screen()
    rows = composed(screen)
    text = " ".join(row.removeprefix(ARROW).strip() for row in rows)
    at_the_bottom = any(STATUS in row for row in screen[size[1] - 2 :])
    return (text, len(rows), at_the_bottom) == (PROMPT, ROWS[size], True)


@pytest.mark.parametrize(
    ("first", "then", "goodbye"),
    [(SMALL, LARGE, "/quit"), (LARGE, SMALL, "Ctrl-C")],
)
def test_a_person_works_with_codex(
    codex_cli: Cli,
    tmp_path: Path,
    first: tuple[int, int],
    then: tuple[int, int],
    goodbye: str,
) -> None:
    """Straight into the composer, another size in the middle, a task done, and a clean end."""
    # Codex asks whether to trust what is in a git repository.
    subprocess.run(["git", "init", "-q"], cwd=codex_cli.workspace, check=True, timeout=30)
    before, code, after = (tmp_path / name for name in ("before", "code", "after"))
    line = (
        f"stty -g > {before}; {shlex.join(codex_cli.command('codex'))}; "
        f"echo $? > {code}; stty -g > {after}"
    )
    with Tmux(
        first,
        cwd=codex_cli.workspace,
        environ=codex_cli.environ(),
        recording=tmp_path / "recording",
    ) as terminal:
        untouched = terminal.flags()
        terminal.type(line)
        terminal.press("Enter")
        terminal.wait_for(*READY)
        assert untouched != terminal.flags()

        terminal.type(PROMPT)
        wait_until(lambda: is_drawn(terminal, first), what=f"the prompt is drawn at {first}")
        terminal.resize(*then)
        wait_until(lambda: is_drawn(terminal, then), what=f"the prompt is drawn at {then}")
        terminal.press("Enter")
        # The title of the conversation is the last it does.
        terminal.wait_for("• I wrote from-codex.txt.", READY[0], f"{STATUS} · Played from a script")
        assert "written by codex\n" == (codex_cli.workspace / "from-codex.txt").read_text()

        if goodbye == "/quit":
            terminal.type("/quit")
            terminal.wait_for("exit Codex")
            terminal.press("Enter")
        else:
            terminal.press("C-c")
        wait_until(lambda: after.exists() and after.read_text(), what="the shell is back")
        assert "0\n" == code.read_text()
        assert before.read_text() == after.read_text()
        assert untouched == terminal.flags()
        # Nothing is left over that would be typed into the shell.
        terminal.type("echo still $((40 + 2))")
        terminal.press("Enter")
        screen = terminal.wait_for("still 42")
        assert "still 42" in screen
    written = (tmp_path / "recording").read_bytes()
    assert b"\x1b[?1049h" in written
    assert set() == modes_left(written)


def test_without_yolo_codex_asks(
    cli: Cli, tool_home: Path, make_api: MakeApi, tmp_path: Path
) -> None:
    """What would run by itself fails, as a box makes no second sandbox; the rest is the person's
    to allow. First words were said on the command line."""
    api = make_api(
        Shell("echo unasked > unasked.txt"),
        Shell("echo asked > asked.txt", escalated=True),
        Say("Both were tried."),
    )
    link_tree(tool_home / "tools", cli.home / "tools", ignore=shutil.ignore_patterns(".work"))
    cli.point_at(api)
    cli.grant()
    asked, unasked = cli.workspace / "asked.txt", cli.workspace / "unasked.txt"
    line = shlex.join(cli.command("codex", "--noyolo", "--", "please", "try both"))
    recording = tmp_path / "recording"
    with (
        ending_all(cli),  # the window is closed in the midst, which ends no run
        Tmux(LARGE, cwd=cli.workspace, environ=cli.environ(), recording=recording) as terminal,
    ):
        terminal.type(line)
        terminal.press("Enter")
        terminal.wait_for("please try both", "Would you like to run the following command?")
        assert (False, False) == (asked.exists(), unasked.exists())
        terminal.press("y")
        terminal.wait_for("Both were tried.")
    assert (True, False) == (asked.exists(), unasked.exists())
    assert "namespace" in api.server.tool_outputs[0]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (b"\x1b[?1049h\x1b[?25l\x1b[?2004h text \x1b[?1049l", {"mode 25", "mode 2004"}),
        (b"\x1b[?1000;1006h\x1b[?1000l", {"mode 1006"}),
        (b"\x1b[>7u\x1b[>1u\x1b[<u", {"keyboard"}),
        (b"\x1b[>4;2m\x1b[4 q", {"other keys", "cursor shape"}),
        (b"\x1b[?25l\x1b[?1049h\x1b[>7u\x1b[>4;2m\x1b[4 q", None),
        (b"\x1b[?25l\x1b[?1049h\x1b[?1049l\x1b[?25h\x1b[>7u\x1b[<1u\x1b[>4;0m\x1b[0 q", set()),
    ],
)
def test_what_is_left_of_a_program_is_seen(written: bytes, left: set[str] | None) -> None:
    """The measure by which a terminal counts as left alone does find what was not undone."""
    every = {"mode 25", "mode 1049", "keyboard", "other keys", "cursor shape"}
    assert (every if left is None else left) == modes_left(written)
