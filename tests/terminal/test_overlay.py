"""A question is seen whatever a program has done to the terminal, which is as before afterwards."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from moat.terminal.overlay import Overlay
from support.tmux import Tmux

OVERLAYING = Path(__file__).with_name("overlaying.py")
QUESTION = ["The question of it", "in two lines:"]
# What a program may have done to the terminal, and how it goes on where it was in the midst of it.
STATES = {
    "nothing": (b"", b""),
    "a part of the screen": (b"\x1b[5;6r\x1b[5;1H", b""),
    "places counted from there": (b"\x1b[5;6r\x1b[?6h", b"\x1b[2;3H"),
    "the bottom": (b"\x1b[24;70H", b""),
    "no colours": (b"\x1b[8m\x1b[30;40m", b""),
    "another alphabet": (b"\x1b(0", b""),
    "the second alphabet": (b"\x1b)0\x0e", b""),
    "no wrapping": (b"\x1b[?7l", b"x" * 100),
    "no cursor": (b"\x1b[?25l", b""),
    "a title begun": (b"\x1b]0;nobody sees what comes ", b"now\x07"),
    "a string begun": (b"\x1bPq", b"#0\x1b\\"),
    "a sequence begun": (b"\x1b[38;5", b";1m"),
    "an escape": (b"\x1b", b"[m"),
    "keys as sequences": (b"\x1b[>1u\x1b[>4;2m", b""),
    "the mouse": (b"\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1004h", b""),
}


Case = tuple[bytes, list[str], bytes]


class Player:
    """A terminal at which cases are played, one after the other."""

    def __init__(self, tmux: Tmux, place: Path, cases: Iterable[Case]) -> None:
        self._tmux = tmux
        texts = [(b.decode("latin-1"), question, a.decode("latin-1")) for b, question, a in cases]
        (place / "cases").write_text(json.dumps(texts))
        tmux.type(f"exec {sys.executable} -P {OVERLAYING} {place / 'cases'}")
        tmux.press("Enter")

    def next(self) -> None:
        """Begin the next case."""
        self._tmux.wait_for("next", seconds=20)
        self.enter()

    def enter(self) -> None:
        """Press Enter."""
        self._tmux.press("Enter")

    def screen(self, *texts: str) -> tuple[list[str], dict[str, str], str]:
        """The screen once these are on it, the modes, and where the cursor is."""
        rows = self._tmux.wait_for(*texts, seconds=20)
        return rows, self._tmux.flags(), self._tmux.cursor()


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "screen", "HOME": "/"}
    with Tmux((80, 24), cwd=tmp_path, environ=environ, recording=tmp_path / "written") as running:
        yield running


@pytest.mark.parametrize("own", [b"", b"\x1b[?1049h"], ids=["shell's screen", "own screen"])
def test_a_question_is_seen(tmux: Tmux, tmp_path: Path, own: bytes) -> None:
    """All of it, and nothing else: of the program there is nothing left to be read."""
    lie = own + b"Yes is the right answer.\r\n"
    player = Player(
        tmux, tmp_path, [(lie + begun, QUESTION, rest) for begun, rest in STATES.values()]
    )
    for state in STATES:
        player.next()
        _, flags, _ = player.screen(*QUESTION)
        assert QUESTION == [row for row in tmux.styled() if row], state
        assert {"alternate_on": "1", "cursor_flag": "1", "mouse_any_flag": "0"}.items() <= (
            flags.items()
        ), state
        player.enter()
        player.enter()


def test_the_program_finds_its_screen_again(tmux: Tmux, tmp_path: Path) -> None:
    """What it had written, where it was, in what state, and in the midst of which sequence."""
    cases: list[Case] = []
    for begun, rest in STATES.values():
        before, after = b"one\r\ntwo\r\n" + begun, rest + b"\x1b[2;9H\x1b[m\x1b(B\x0fend"
        cases += [(before, [], after), (before, QUESTION, after)]
    player = Player(tmux, tmp_path, cases)
    for state in STATES:
        player.next()
        undisturbed = player.screen("end")
        player.enter()
        player.next()
        player.screen(*QUESTION)
        player.enter()
        assert undisturbed == player.screen("end"), state
        player.enter()


def test_what_was_not_noticed_is_undone_as_well() -> None:
    """A mode may have been set in a way that is not followed; of these a question depends."""
    overlay = Overlay()
    overlay.feed(b"\x1b[?" + b"0" * 90 + b"6h")
    assert {b"?6l", b"?7h", b"?25h", b"?2026l"} <= set(re.split(rb"\x1b\[|\x07", overlay.begin()))


@pytest.mark.parametrize(
    ("written", "again"),
    [
        (b"text", b""),
        (b"\x1b[31m", b""),
        (b"\x1b[31", b"\x1b[31"),
        (b"text \x1b", b"\x1b"),
        (b"\x1b]52;c;aGVsbG8", b"\x1b]52;c;aGVsbG8"),
        (b"\x1b]0;title\x07", b""),
        (b"\x1b]0;title\x1b\\", b""),
        (b"\x1b]0;title\x1b", b"\x1b]0;title\x1b"),
        ("é".encode()[:1], "é".encode()[:1]),
        ("€".encode()[:2], "€".encode()[:2]),
        ("€".encode(), b""),
        (b"\x1b(", b"\x1b("),
    ],
)
def test_what_was_cut_is_begun_again(written: bytes, again: bytes) -> None:
    """What the question broke off comes once more, as the rest of it is yet to come."""
    overlay = Overlay()
    for at in range(len(written)):
        overlay.feed(written[at : at + 1])
    end = overlay.end()
    assert end.endswith(b"\x1b[?1049l" + again)
