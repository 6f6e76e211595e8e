"""How Moat speaks: stdout is data, stderr is everything else; readable without colour."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from moat.core.redact import printable
from moat.errors import MoatError


def say(text: str) -> None:
    """Tell the person something."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr)


def warn(text: str) -> None:
    """Tell the person something that may matter."""
    say(f"warning: {text}")


def show_error(error: MoatError) -> None:
    """What happened and why, then the next command."""
    # One line each: what they quote may have been written to look like more of ours.
    say(f"moat: {_one_line(error.message)}")
    if error.hint:
        say(f"hint: {_one_line(error.hint)}")


def _one_line(text: str) -> str:
    return "\\n".join(text.split("\n"))


def show_lines(lines: Iterable[str], *, flush: bool = False) -> None:
    """Data for a person, a line each."""
    for line in lines:
        print(printable(line), flush=flush)


def show_json(value: Any) -> None:
    """Data for a program."""
    print(json.dumps(value, indent=2))


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Data for a person, in aligned columns."""
    lines = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())
