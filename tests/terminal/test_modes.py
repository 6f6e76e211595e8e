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
OUT_OF_IT, PLAIN = b"\x18\x1b\\", b"\x1b[m\x1b(B\x1b)B\x0f\x1b>"
BELOW = b"\x1b[999;1H\r\n"
WHOLE = b"\x1b7\x1b[r\x1b8"  # and the cursor where it was


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
        (b"\x1b[?25l", b"\x1b[?25h"),
        (b"\x1b[?1000;1006h", b"\x1b[?1000l\x1b[?1006l"),
        (b"\x1b[?1049h\x1b[?2004h", b"\x1b[?2004l\x1b[?1049l"),
        (b"\x1b[>1u\x1b[>7u", b"\x1b[<2u"),
        (b"\x1b[>1u\x1b[<u\x1b[<5u", b""),
        (b"\x1b[>1u\x1b[?1049h\x1b[>2u\x1b[>3u", b"\x1b[<2u\x1b[?1049l\x1b[<1u"),
        (
            b"\x1b[>1u\x1b[?1049h\x1b[>2u\x1b[?1049l",
            b"\x1b[<1u\x1b[?1049h\x1b[<1u\x1b[?1049l",
        ),
        (b"\x1b[>1u\x1b[<0u", b""),
        (b"\x1b[=5;1u", b"\x1b[=0u"),
        (b"\x1b[>1u\x1b[=5;1u", b"\x1b[<1u"),
        (b"\x1b[4h", b"\x1b[4l"),
        (b"\x1b[4h\x1b[4l", b""),
        (b"\x1b[>4;2m", b"\x1b[>4;0m"),
        (b"\x1b[>4;2m\x1b[>4m", b""),
        (b"\x1b[4 q", b"\x1b[0 q"),
        (b"\x1b[2;9r", WHOLE),
        (b"\x1b[2;9r\x1b[r", b""),
        (
            b"\x1b[5;9r\x1b[?1049h\x1b[r\x1b[?1049l",
            WHOLE,
        ),  # a terminal may have one for each screen
        *((spelled, WHOLE) for spelled in (b"\x1b[20r", b"\x1b[000001;2r")),
        *((spelled, WHOLE) for spelled in (b"\x1b[1;2;3r", b"\x1b[;2r", b"\x1b[1:1;2r")),
        (b"\x1b[?" + b"0" * 90 + b"25l", b"\x1b[?25h"),
        (b"\x1b[04h", b"\x1b[4l"),
        (b"\x1b[4;20h", b"\x1b[4l"),
        (b"\x1b[0;5 q", b"\x1b[0 q"),
        (b"\x1b[22;0t\x1b[22;2t\x1b[23;0t", b"\x1b[23;2t"),
        (b"\x1b[?5h\x1b7\x1b[?5l\x1b8", b"\x1b[?5l"),
        (b"\x1b[4h\x1b[?1049h\x1b[4l", b"\x1b[?1049l\x1b[4l"),
        (b"\x1b[?2h\x1b[?3h\x1b[?31337h", b""),
        (
            b"".join(b"\x1b[?%dh" % n for n in range(3000, 3100)) + b"\x1b[?1049h",
            b"\x1b[?1049l",
        ),
        (b"\x1b[?" + b"9" * 5000 + b"h\x1b[?25l", b"\x1b[?25h"),
        (CODEX + b"\x1bc", b""),
        (b"\x1b[?2026h\x1b[?12h", b"\x1b[?12l\x1b[?2026l"),
        (b"\x1b[?1000h\x1b[!p", b"\x1b[?1000l\x1b[?7h"),
        (b"\x1b[?" + b"7;" * 60 + b"1000h", b"\x1b[?1000l"),
        (b"\x1b[>4n", b"\x1b[>4;0m"),
        (b"\x1b[?6h\x1b[?1049h\x1b[?6l", b"\x1b[?1049l\x1b[?6l" + BELOW),
    ],
)
def test_what_was_set_is_undone(written: bytes, undone: bytes) -> None:
    """And no more: who leaves the terminal as it was is left alone."""
    assert OUT_OF_IT + undone + PLAIN == undo(written)


@pytest.mark.attack
@pytest.mark.parametrize(
    "written", [b"\x1b[8m", b"\x0e", b"\x1b(0", b"\x1b=", b"\x1b]0;", b"\x1bP"]
)
def test_who_comes_next_is_seen_and_read_as_ever(written: bytes) -> None:
    """Whatever a program has left that hides, changes or takes in what is written next."""
    assert undo(written).startswith(OUT_OF_IT)
    assert undo(written).endswith(PLAIN)


@pytest.mark.attack
def test_links_end_and_tabs_are_where_they_were() -> None:
    """Only where there may have been any: not every terminal knows them."""
    for pieces in ((b"\x1b]8;;http://h/\x07",), (b"\x1b", b"]8;;http://h/\x07")):
        assert b"\x1b]8;;\x1b\\" in undo(*pieces)
    for tabs in (b"\x1b[3g", b"\x1b[g", b"\x1bH"):
        assert 65 == undo(tabs).count(b"\x1b[8C\x1bH")
    assert b"]8" not in undo(CODEX)
    assert b"\x1bH" not in undo(CODEX)


def test_who_has_written_text_alone_is_left_alone() -> None:
    """Nothing is written to a terminal that nothing was done to."""
    assert b"" == undo(b"plain\ttext\r\n", "日本".encode())


@pytest.mark.attack
@pytest.mark.parametrize("how", ["terminal", "pipes"])
@pytest.mark.parametrize(
    "printed",
    ["\\033[8m", "\\033(0", "\\016\\033)0", "\\033[8m\\033[?1049h", "\\033[000001;2r\\033[24;1H"],
)
def test_a_receipt_cannot_be_hidden(cli: Cli, how: str, printed: str) -> None:
    """Before it stands what has it seen, also where the program had no terminal."""
    script = f"echo x >.envrc; printf '{printed}'"
    command = cli.command("run", "--allow-write", ".envrc", "--", "sh", "-c", script)
    if how == "pipes":
        command = ("/bin/sh", "-c", 'exec "$@" </dev/null', "sh", *command)
    with Terminal() as terminal:
        with terminal.running(cli, *command) as process:
            assert 0 == terminal.wait(process)
        before, receipt, _ = terminal.seen.partition(b"run ")
        assert receipt
        assert PLAIN in before
        assert ("r\\033[24" in printed) == (b"\x1b[r" in before)


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
    assert len(modes._cut) < 1000


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
