"""The receipt in lines."""

from __future__ import annotations

from typing import Any

from moat.cli.receipt import lines_of
from moat.run.receipt import Receipt
from moat.run.record import RunRecord


def lines(*executed: dict[str, Any]) -> list[str]:
    record = RunRecord("run", "stopped", 0.0, "/w", ("true",), exit_code=0)
    changes = {"added": [], "changed": [], "removed": [], "executed": [*executed]}
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
