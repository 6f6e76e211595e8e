"""Everything that makes another terminal of the same size show what a screen shows."""

from __future__ import annotations

from collections.abc import Iterator

from moat.terminal.grid import Cell, Grid
from moat.terminal.screen import Saved, Screen, Side
from moat.terminal.style import PLAIN, Style

_ON = frozenset({7, 25})  # modes that are on in a terminal nobody has changed
_NOT_RESTORED = {6, 2026}  # the first with the margins; the other ends with what comes next
# No margins, no colours, usual letters, every row written by its place and none wrapped.
_PLAIN_TERMINAL = b"\x18\x1b\\\x1b[?2026l\x1b[?6l\x1b[r\x1b[4l\x1b[?7l"
_PLAIN_DRAWING = b"\x1b[m\x1b(B\x1b)B\x0f"


def restore(screen: Screen) -> bytes:
    """Both screens, the cursor, title, tabs and modes. What was seen before moves up and away."""
    screen.settle()
    parts = [_PLAIN_TERMINAL, _PLAIN_DRAWING, b"\x1b[%d;1H" % screen.rows + b"\n" * screen.rows]
    for which, title in screen.titles:
        parts.append(_title(title) + b"\x1b[22;%dt" % which)
    parts.append(_title(screen.title))
    parts.append(_tabs(screen))
    if screen.side is screen.main:
        parts.append(_side(screen.main))
    else:
        main = screen.main.saved
        parts += [_side(screen.main, keep=False), _saved(main, screen.main.grid)]
        parts += [b"\x1b[?1049h\x1b[?6l", _side(screen.other)]
    parts += [*_modes(screen), _cursor(screen)]
    return b"".join(parts)


def _title(title: bytes) -> bytes:
    return b"\x1b]2;%s\x07" % title if title else b""


def _tabs(screen: Screen) -> bytes:
    if screen.tabs == set(range(8, screen.columns, 8)):
        return b""
    stops = (b"\x1b[1;%dH\x1bH" % (x + 1) for x in sorted(screen.tabs) if x < screen.columns)
    return b"\x1b[3g" + b"".join(stops)


def _side(side: Side, *, keep: bool = True) -> bytes:
    """What one screen shows, and the cursor that was put aside on it."""
    rows = (_row(y, line) for y, line in enumerate(side.grid.lines))
    keyboards = b"".join(b"\x1b[>%du" % flags for flags in side.keyboards)
    saved = _saved(side.saved, side.grid) + b"\x1b7" if keep and side.saved != Saved() else b""
    return _PLAIN_DRAWING + b"\x1b[H\x1b[2J" + b"".join(rows) + saved + b"\x1b[?6l" + keyboards


def _row(y: int, line: list[Cell]) -> bytes:
    end = len(line)
    while end and line[end - 1] == (" ", PLAIN):
        end -= 1
    return b"\x1b[%d;1H" % (y + 1) + b"".join(_cells(line[:end])) if end else b""


def _cells(cells: list[Cell]) -> Iterator[bytes]:
    before = PLAIN
    for text, style in cells:
        if style != before:
            before = style
            yield style.sequence()
        yield text.encode()
    if before != PLAIN:
        yield b"\x1b[m"


def _saved(saved: Saved, grid: Grid) -> bytes:
    x, y = min(saved.x, grid.columns - 1), min(saved.y, grid.rows - 1)
    state = _drawing(saved.style, saved.alphabets, saved.shifted)
    # Where rows count from the margins, there are none here: it is the same place.
    origin = b"\x1b[?6h" if saved.origin else b""
    return origin + b"\x1b[%d;%dH" % (y + 1, x + 1) + state


def _drawing(style: Style, alphabets: tuple[str, str], shifted: int) -> bytes:
    first, second = (alphabet.encode() for alphabet in alphabets)
    return style.sequence() + b"\x1b(" + first + b"\x1b)" + second + b"\x0f\x0e"[shifted:][:1]


def _modes(screen: Screen) -> Iterator[bytes]:
    for mode in sorted((screen.modes ^ _ON) - _NOT_RESTORED - {7}):
        yield b"\x1b[?%d%s" % (mode, b"h" if mode in screen.modes else b"l")
    if screen.other_keys:
        yield b"\x1b[>" + screen.other_keys + b"m"
    if screen.shape:
        yield b"\x1b[" + screen.shape + b" q"
    if screen.keypad:
        yield b"\x1b="


def _cursor(screen: Screen) -> bytes:
    """Margins, then the cursor, as setting the first moves the second."""
    grid = screen.grid
    row, column = screen.cursor
    margins = b"" if grid.scrolls_whole else b"\x1b[%d;%dr" % (grid.top + 1, grid.bottom + 1)
    origin = b"\x1b[?6h" if 6 in screen.modes else b""
    wrapping = b"\x1b[?7h" if 7 in screen.modes else b""
    parts = [_PLAIN_DRAWING, margins, origin, wrapping]
    if grid.wraps:  # only a character that is written there leaves the cursor at the edge like this
        line = grid.lines[grid.y]
        column = grid.columns if line[-1][0] else grid.columns - 1
        text, style = line[column - 1]
        parts += [b"\x1b[%d;%dH" % (row, column), style.sequence(), text.encode()]
    else:
        parts.append(b"\x1b[%d;%dH" % (row, column))
    first, second = screen.alphabets
    parts.append(_drawing(screen.style, (first, second), screen.shifted))
    parts.append(b"\x1b[4h" if screen.inserts else b"")
    return b"".join(parts)
