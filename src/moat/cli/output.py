"""How Moat speaks: stdout is data, stderr is everything else; readable without colour."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from moat.core.redact import printable
from moat.errors import MoatError


def say(text: str) -> None:
    """Tell the person something, in one line: what it quotes may have been written to look like
    more lines of ours."""
    print(_line(text), file=sys.stderr)


def warn(text: str) -> None:
    """Tell the person something that may matter."""
    say(f"warning: {text}")


def show_error(error: MoatError) -> None:
    """What happened and why, then the next command."""
    say(f"moat: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def _line(text: str) -> str:
    return printable(text.replace("\n", "\\n"))


def show_lines(lines: Iterable[str], *, flush: bool = False) -> None:
    """Data for a person, a line each."""
    for line in lines:
        print(_line(line), flush=flush)


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
