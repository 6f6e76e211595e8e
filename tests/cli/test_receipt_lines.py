"""The receipt in lines."""

from __future__ import annotations

from typing import Any

import pytest

from moat.cli.receipt import lines_of
from moat.run.receipt import Receipt
from moat.run.record import RunRecord, State
from moat.run.unlooked import must_be_told

NONE: dict[str, Any] = {"added": [], "changed": [], "removed": [], "executed": []}


def lines(*executed: dict[str, Any]) -> list[str]:
    record = RunRecord("run", "stopped", 0.0, "/w", ("true",), exit_code=0)
    changes = {**NONE, "executed": [*executed]}
    return list(lines_of(Receipt(record, 1.0, changes=changes)))


def planted(path: str, why: str, *, asked: bool) -> dict[str, Any]:
    return {"path": path, "why": why, "asked": asked}


def test_harmless_ones_push_out_no_other() -> None:
    """Neither those of another class, nor those of another reason or further down."""
    decoys = [planted(f".a{n}/Makefile", "make runs it", asked=True) for n in range(40)]
    repositories = [planted(f".a{n}/.git", "git obeys it", asked=False) for n in range(40)]
    shown = lines(
        *decoys,
        *repositories,
        planted("x/y/z/.envrc", "direnv runs it", asked=False),
        planted("Makefile", "make runs it", asked=True),
        planted("z/package.json", "npm runs it", asked=True),
    )
    assert "    x/y/z/.envrc (direnv runs it)" in shown
    assert "    Makefile (make runs it)" in shown
    assert "    z/package.json (npm runs it)" in shown


def test_how_many_there_are_of_each() -> None:
    """What runs by itself first."""
    shown = lines(
        planted("a", "x", asked=True), planted("b", "x", asked=True), planted("c", "y", asked=False)
    )
    assert "  1 file would run something on this machine, by itself: c (y)" == shown[1]
    assert "  2 files would run something on this machine, when you build or test:" == shown[2]


@pytest.mark.parametrize(
    ("state", "changes", "expected"),
    [
        ("stopped", NONE, None),
        ("stopped", {**NONE, "complete": False}, "not all of the workspace was looked at"),
        (
            "stopped",
            {**NONE, "added": ["a"], "complete": False},
            "1 added; not all of the workspace was looked at",
        ),
        ("stopped", {**NONE, "added": ["a", "b"], "removed": ["c"]}, "2 added, 1 removed"),
        ("stopped", None, "nobody has looked at what it changed in the workspace"),
        ("lost", None, "nobody has looked at what it changed in the workspace"),
        ("running", None, None),
        ("failed", None, None),
    ],
)
def test_what_nobody_looked_at(
    state: State, changes: dict[str, Any] | None, expected: str | None
) -> None:
    """It is said, and more than that only where something is known."""
    record = RunRecord("run", state, 0.0, "/w", ("true",), exit_code=0)
    shown = list(lines_of(Receipt(record, 1.0, changes=changes)))
    assert ([] if expected is None else [f"  files: {expected}"]) == shown[1:]
    unlooked = expected is not None and "looked" in expected
    assert unlooked == must_be_told(record, changes)


def test_a_run_without_a_workspace_changes_none() -> None:
    """Such as a proxy that was lost."""
    record = RunRecord("run", "lost", 0.0, None, ())
    assert 1 == len(list(lines_of(Receipt(record, 1.0))))
    assert not must_be_told(record, None)


def test_what_would_run_is_told_to_everybody() -> None:
    """Also where all was looked at."""
    record = RunRecord("run", "stopped", 0.0, "/w", ("true",), exit_code=0)
    assert must_be_told(record, {**NONE, "executed": [planted("a", "x", asked=True)]})
