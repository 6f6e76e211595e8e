"""What reads hostile bytes takes time in proportion to them, whatever they are.

The steps of Python are counted; what C does in one step (to look for something, to copy) shows in
the processor time of larger inputs.
"""

from __future__ import annotations

import pytest

from fuzz.effort import MOST_STEPS, MOST_TIME, Work, ratio_of_time, steps
from fuzz.shapes import CASES, Case
from moat.engine.paths import canonical_target

CASES_BY_NAME = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name) for case in CASES]
)


@CASES_BY_NAME
def test_steps(case: Case) -> None:
    """Four times as much takes four times the steps."""
    few, many = steps(case.make(case.steps)), steps(case.make(4 * case.steps))
    assert few
    assert many <= MOST_STEPS * few, (few, many)


@CASES_BY_NAME
def test_time(case: Case) -> None:
    """And nowhere near sixteen times the time."""
    assert ratio_of_time(case.make, case.size) < MOST_TIME


def test_what_grows_with_the_square_is_seen() -> None:
    """By its steps, and where it is C that does the work, by its time."""

    def pairs(n: int) -> Work:
        return lambda: [canonical_target("/") for _ in range(n) for _ in range(n)]

    def copied(n: int) -> Work:
        def work() -> None:
            text = bytes(n)
            for at in range(0, n, 64):
                _ = text[at:] + b"x"

        return work

    assert steps(pairs(20)) > MOST_STEPS * steps(pairs(5))
    assert ratio_of_time(copied, 100_000) > MOST_TIME
