"""What a terminal answers before a run has it is understood, and keys are not lost in between."""

from __future__ import annotations

import pytest

from moat.terminal.answers import Known
from moat.terminal.box_terminal import BoxTerminal
from moat.terminal.probe import QUESTIONS, Probe

COLOURS = b"\x1b]10;rgb:dcdc/dcdc/dcdc\x1b\\\x1b]11;rgb:0000/0000/0000\x07"
MUCH = b"\x1b[?0u" + COLOURS + b"\x1b[12;5R\x1b[?62;4;22c"
LITTLE = b"\x1b[3;1R\x1b[?6c"


def probed(*pieces: bytes) -> Probe:
    probe = Probe()
    for piece in pieces:
        probe.feed(piece)
    return probe


def test_a_terminal_that_can_much() -> None:
    """However its answers are cut, and with keys between them."""
    known = Known(True, b"rgb:dcdc/dcdc/dcdc", b"rgb:0000/0000/0000")
    for place in range(len(MUCH)):
        probe = probed(MUCH[:place], MUCH[place:])
        assert (known, (12, 5), True, b"") == (probe.known, probe.at, probe.done, probe.typed())
    probe = probed(b"l" + MUCH[:5] + b"s" + MUCH[5:] + b"\r")
    assert (known, (12, 5), b"ls\r") == (probe.known, probe.at, probe.typed())


def test_a_terminal_that_can_little_is_done_as_soon() -> None:
    """What it does not answer is not waited for."""
    probe = probed(LITTLE)
    assert (Known(), (3, 1), True) == (probe.known, probe.at, probe.done)
    assert not probed(b"\x1b[A\x1b[1;5C").done


@pytest.mark.parametrize(
    "answer", [b"\x1b]11;rgb:0/0/0\r\x1b\\", b"\x1b]12;rgb:0/0/0\x07", b"\x1b[A"]
)
def test_what_is_no_answer_is_typed(answer: bytes) -> None:
    """And comes through untouched."""
    assert answer == probed(answer).typed()


def test_the_questions_are_those_that_programs_ask() -> None:
    """So with what was found out each of them is answered."""
    known = probed(MUCH).known
    answers = probed(BoxTerminal(24, 80, known=known).feed(QUESTIONS).answer)
    assert (known, (1, 1), True, b"") == (answers.known, answers.at, answers.done, answers.typed())
