"""Names that stand in paths, records and commands."""

from __future__ import annotations

import pytest

from moat.core.ids import is_run_id, is_run_id_prefix, new_run_id


def test_a_new_id_has_the_form_of_one() -> None:
    """Ten characters of the alphabet, and never the same twice."""
    made = {new_run_id() for _ in range(200)}
    assert len(made) == 200
    assert all(is_run_id(each) for each in made)
    assert all(is_run_id_prefix(each[:4]) for each in made)


def test_ids_sort_by_time() -> None:
    """An id made two minutes later sorts after."""
    times = [0, 128, 256, 1_700_000_000, 1_700_000_128, 4_200_000_000]
    made = [new_run_id(now=moment) for moment in times]
    assert sorted(made) == made


@pytest.mark.parametrize(
    "text",
    ["", "0123456789a", "012345678", "012345678i", "012345678L", "../../etc/", "012345678\n"],
)
def test_what_is_no_id_is_told(text: str) -> None:
    """Nothing that could leave a directory, or be read as another letter, is an id."""
    assert not is_run_id(text)


@pytest.mark.parametrize("text", ["", "i", "..", "0/", "A", "01234567890"])
def test_what_begins_no_id_is_told(text: str) -> None:
    """A prefix is of the same alphabet, and no longer than an id."""
    assert not is_run_id_prefix(text)
