"""Errors point at a place and are safe to print."""

from __future__ import annotations

from moat.config.nodes import Place, fault, quoted

PLACE = Place("config.yaml", 3, 5)


def test_a_fault_begins_with_its_place() -> None:
    """FILE:LINE:COLUMN, as editors and terminals understand it."""
    error = fault(PLACE, "no good", hint="do better")

    assert (
        error.message,
        error.hint,
        error.exit_code,
    ) == ("config.yaml:3:5: no good", "do better", 2)


def test_what_a_file_says_cannot_steer_the_terminal() -> None:
    """Escape sequences, line ends, bidirectional marks and broken characters come out escaped."""
    error = fault(Place("a\x1b[2J", 1, 1), "b\nc\u202ed\udc80", hint="é\x07")

    assert error.message == r"a\x1b[2J:1:1: b\nc\u202ed\udc80"
    assert error.hint == r"é\x07"


def test_long_texts_are_cut() -> None:
    """One value must not fill the screen."""
    assert quoted("x" * 60) == '"' + "x" * 60 + '"'
    assert quoted("x" * 61) == '"' + "x" * 59 + '…"'
    assert len(fault(PLACE, "x" * 10_000).message) < 450
