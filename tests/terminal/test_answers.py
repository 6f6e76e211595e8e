"""A program's questions are answered by us, as a modest terminal would."""

from __future__ import annotations

import pytest

from moat.terminal.answers import Known
from moat.terminal.box_terminal import BoxTerminal
from terminal.hostile import HOSTILE

# What the Codex CLI and crossterm ask when they start.
AT_START = (
    b"\x1b[?2004h\x1b[>4;0m\x1b[>7u\x1b[?1004h\x1b[?u\x1b[c\x1b[6n\x1b]10;?\x1b\\\x1b]11;?\x1b\\"
)


def answers(printed: bytes, known: Known | None = None, at: tuple[int, int] = (1, 1)) -> bytes:
    return BoxTerminal(24, 80, at=at, known=known).feed(printed).answer


@pytest.mark.parametrize(
    ("printed", "answer"),
    [
        (b"\x1b[6n", b"\x1b[3;5R"),
        (b"ab\r\nc\x1b[6n", b"\x1b[4;2R"),
        (b"\x1b[6nab\x1b[6n", b"\x1b[3;5R\x1b[3;7R"),
        (b"\x1b[9;9H\x1b[?6n", b"\x1b[?9;9R"),
        (b"\x1b[5;9r\x1b[?6h\x1b[2;3H\x1b[6n", b"\x1b[2;3R"),
        (b"\x1b[999;999H\x1b[6n", b"\x1b[24;80R"),
        (b"x" * 80 + b"\x1b[6n", b"\x1b[4;5R"),
        (b"\r" + b"x" * 80 + b"\x1b[6n", b"\x1b[3;80R"),
        (b"\x1b[5n", b"\x1b[0n"),
        (b"\x1b[c", b"\x1b[?62;22c"),
        (b"\x1b[0c", b"\x1b[?62;22c"),
        (b"\x1b[>c", b"\x1b[>1;10;0c"),
        (b"\x1b[?2004$p\x1b[?2004h\x1b[?2004$p", b"\x1b[?2004;2$y\x1b[?2004;1$y"),
        (b"\x1b[?7$p\x1b[?1049$p", b"\x1b[?7;1$y\x1b[?1049;2$y"),
        (b"\x1b[?1049h\x1b[?1049$p", b"\x1b[?1049;1$y"),
        (b"\x1b[?2048$p\x1b[?9999$p", b"\x1b[?2048;0$y\x1b[?9999;0$y"),
    ],
)
def test_what_is_emulated_is_told(printed: bytes, answer: bytes) -> None:
    """As it is where the question stands."""
    assert answer == answers(printed, at=(3, 5))


def test_what_is_not_known_of_the_terminal_is_not_told() -> None:
    """Silence is how a terminal says that it cannot; what was found out is told."""
    usual = b"\x1b[?62;22c\x1b[1;1R"
    assert usual == answers(AT_START)
    known = Known(keyboard=True, front=b"rgb:dddd/dddd/dddd", back=b"rgb:0000/0000/0000")
    colours = b"\x1b]10;rgb:dddd/dddd/dddd\x1b\\\x1b]11;rgb:0000/0000/0000\x1b\\"
    assert b"\x1b[?7u" + usual + colours == answers(AT_START, known)
    assert b"\x1b[?0u" == answers(b"\x1b[>7u\x1b[?1049h\x1b[?u", known)
    assert b"\x1b]11;rgb:0000/0000/0000\x07" == answers(b"\x1b]11;?\x07", known)


@pytest.mark.attack
def test_most_is_not_answered_at_all() -> None:
    """Nothing of what a program says of itself comes back as an answer."""
    answered = {name for name, hostile in HOSTILE.items() if answers(hostile)}
    assert answered == {
        "attributes", "attributes, 0", "attributes, second", "cursor", "cursor, private",
        "mode", "status",
    }  # fmt: skip


@pytest.mark.attack
@pytest.mark.parametrize("colour", [b"red", b"rgb:1/2", b"rgb:0/0/0\r", b"\x1b[A", b""])
def test_a_colour_is_one(colour: bytes) -> None:
    """For the program it is typed."""
    with pytest.raises(ValueError, match="not a colour"):
        Known(back=colour)


@pytest.mark.attack
def test_who_asks_without_end_is_not_answered_without_end() -> None:
    """An answer is longer than the question: nobody is to be made to keep all of them."""
    assert len(answers(b"\x1b[c" * 100_000)) < 5000


def test_what_passes_is_not_answered() -> None:
    """The person's terminal does it then."""
    heard = BoxTerminal(24, 80, passes=True).feed(b"\x1b[6n\x1b]52;c;?\x07")
    assert (b"\x1b[6n\x1b]52;c;?\x07", b"") == (heard.shown, heard.answer)
