"""A terminal is given back as it was, whatever became of the program."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.core.ids import is_run_id
from moat.run.record import RunDirectory
from moat.terminal.modes import Modes
from support.cli import Cli
from support.pty import Terminal
from support.tmux import modes_left

CODEX = (
    b"\x1b[?1049h\x1b[?1000h\x1b[?1002;1003h\x1b[?1006h\x1b[?2004h"
    b"\x1b[>7u\x1b[?25l\x1b[4 q\x1b[>4;2m"
)


def undo(*pieces: bytes) -> bytes:
    modes = Modes()
    for piece in pieces:
        modes.feed(piece)
    return modes.undo()


@pytest.mark.parametrize(
    ("written", "undone"),
    [
        (b"plain \x1b[31mred\x1b[0m text", b""),
        (b"\x1b[?25l\x1b[?25h\x1b[?1000h\x1b[?1000l", b""),
        (b"\x1b[?25l", b"\x1b[m\x1b[?25h"),
        (b"\x1b[?1000;1006h", b"\x1b[m\x1b[?1000l\x1b[?1006l"),
        (b"\x1b[?1049h\x1b[?2004h", b"\x1b[m\x1b[?2004l\x1b[?1049l"),
        (b"\x1b[>1u\x1b[>7u", b"\x1b[m\x1b[<2u"),
        (b"\x1b[>1u\x1b[<u\x1b[<5u", b""),
        (b"\x1b[>1u\x1b[?1049h\x1b[>2u\x1b[>3u", b"\x1b[m\x1b[<2u\x1b[?1049l\x1b[<1u"),
        (b"\x1b[>1u\x1b[?1049h\x1b[>2u\x1b[?1049l", b"\x1b[m\x1b[<1u"),
        (b"\x1b[=5;1u", b"\x1b[m\x1b[=0u"),
        (b"\x1b[4h", b"\x1b[m\x1b[4l"),
        (b"\x1b[4h\x1b[4l", b""),
        (b"\x1b[>4;2m", b"\x1b[m\x1b[>4;0m"),
        (b"\x1b[>4;2m\x1b[>4m", b""),
        (b"\x1b[4 q", b"\x1b[m\x1b[0 q"),
        (b"\x1b[2;9r", b"\x1b[m\x1b[r"),
        (b"\x1b[2;9r\x1b[r", b""),
        (b"\x1b[?2026h\x1b[?12h\x1b[?2h\x1b[?3h\x1b[?31337h", b""),
        (
            b"".join(b"\x1b[?%dh" % n for n in range(3000, 3100)) + b"\x1b[?1049h",
            b"\x1b[m\x1b[?1049l",
        ),
        (b"\x1b[?" + b"9" * 5000 + b"h\x1b[?25l", b"\x1b[m\x1b[?25h"),
        (CODEX + b"\x1bc", b""),
    ],
)
def test_what_was_set_is_undone(written: bytes, undone: bytes) -> None:
    """And no more: who leaves the terminal as it was is left alone."""
    assert undone == undo(written)


@given(st.lists(st.integers(0, len(CODEX)), max_size=9))
def test_a_sequence_may_come_in_pieces(places: list[int]) -> None:
    """However the bytes are cut, the same is undone, and then nothing is left."""
    edges = [0, *sorted(places), len(CODEX)]
    pieces = [CODEX[a:b] for a, b in pairwise(edges)]
    assert undo(CODEX) == undo(*pieces)
    assert set() == modes_left(CODEX + undo(*pieces))


@given(st.binary(max_size=200))
def test_anything_may_be_written(data: bytes) -> None:
    """A hostile program writes what it likes; what we answer stays short and is only modes."""
    assert len(undo(data, data)) < 1000


def test_however_much_is_set_it_is_not_all_kept() -> None:
    """Nor is a beginning without an end."""
    modes = Modes()
    for number in range(100_000):
        modes.feed(b"\x1b[?%dh\x1b[>1u" % number)
    modes.feed(b"\x1b[" + b"1" * 100_000)
    assert len(modes.undo()) < 2000
    assert len(modes._cut) < 100


@pytest.mark.parametrize("how", ["the program", "the client", "the supervisor"])
def test_a_killed_program_leaves_the_terminal_as_it_was(cli: Cli, how: str) -> None:
    """Whoever of the three is killed; of the client, with what it can notice."""
    setting = CODEX.decode().replace("\x1b", "\\033")
    last = "kill -9 $$" if how == "the program" else "sleep 60"
    command = cli.command("run", "--", "sh", "-c", f"printf '{setting}'; echo up; {last}")
    with Terminal() as terminal, terminal.running(cli, *command) as process:
        terminal.wait_for(b"up")
        if how == "the client":
            process.send_signal(signal.SIGTERM)
        elif how == "the supervisor":
            (run,) = (entry for entry in (cli.home / "runs").iterdir() if is_run_id(entry.name))
            supervisor = RunDirectory(run.parent, run.name).supervisor()
            assert supervisor is not None
            os.kill(supervisor.pid, signal.SIGKILL)
        assert 0 != terminal.wait(process)
        assert set() == modes_left(terminal.seen)


def test_what_stands_in_the_way_is_switched_off_and_on_again() -> None:
    """But for the screen; for a terminal left alone there is nothing to do."""
    modes = Modes()
    assert (b"", b"") == modes.pause()
    modes.feed(b"\x1b[?1049h\x1b[?25l\x1b[?1000;2004h\x1b[>1u")
    off, on = modes.pause()
    assert off == b"\x1b[?25h\x1b[?1000l\x1b[?2004l"
    assert on == b"\x1b[?25l\x1b[?1000h\x1b[?2004h"


def test_which_screen_a_program_is_on_is_known() -> None:
    """Its own or the shell's, by whichever of the three modes."""
    for mode in (b"47", b"1047", b"1049"):
        modes = Modes()
        assert not modes.on_other_screen
        modes.feed(b"\x1b[?" + mode + b"h")
        assert modes.on_other_screen
        modes.feed(b"\x1b[?" + mode + b"l")
        assert not modes.on_other_screen
