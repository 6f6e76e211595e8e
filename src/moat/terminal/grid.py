"""One screen of a terminal: rows of cells, and what is drawn, erased and shifted in them.

A terminal has two, the usual one and one that programs draw on for themselves.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import repeat

from moat.terminal.style import PLAIN, Style

Cell = tuple[str, Style]  # the second half of a wide character is an empty text
_LONGEST = 8  # characters in a cell: one, and what combines with it
_BLANK: Cell = (" ", PLAIN)
_FEW = 8  # kinds of rows of one cell that are kept at hand
_ZERO_WIDTH = ("Mn", "Me", "Cf")


@lru_cache(maxsize=4096)
def width(character: str) -> int:
    """The number of columns a character takes: 0, 1 or 2."""
    if unicodedata.category(character) in _ZERO_WIDTH:
        return 0 if character != "\xad" else 1
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Shared(list[Cell]):
    """A row of one cell, seen in many places, and never changed.

    So what blanks a whole screen touches its rows, and not all of their cells.
    """


class Grid:
    """Rows and columns count from 0. `bottom` belongs to the part that scrolls, as `top` does."""

    def __init__(self, rows: int, columns: int) -> None:
        self.columns = columns
        self._rows: dict[Cell, Shared] = {}
        self.lines: list[list[Cell]] = [self._blank(PLAIN)] * rows
        self.x = self.y = 0
        # The last column is written; what is written next begins a new line.
        self.wraps = False
        self.top, self.bottom = 0, rows - 1

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.lines)

    @property
    def scrolls_whole(self) -> bool:
        """Whether all rows scroll."""
        return self.top == 0 and self.bottom == self.rows - 1

    def _blank(self, style: Style) -> list[Cell]:
        return self._row_of(_BLANK if style is PLAIN else (" ", style.erased()))

    def _row_of(self, cell: Cell) -> list[Cell]:
        row = self._rows.get(cell)
        if row is None:
            if len(self._rows) >= _FEW:
                self._rows.clear()
            row = self._rows[cell] = Shared([cell] * self.columns)
        return row

    def _own(self, y: int) -> list[Cell]:
        """A row that is about to change."""
        line = self.lines[y]
        if type(line) is Shared:
            line = self.lines[y] = list(line)
        return line

    def fill(self, character: str) -> None:
        """The same everywhere, and the cursor at the top."""
        self.lines = [self._row_of((character, PLAIN))] * self.rows
        self.move(0, 0)

    # the cursor

    def move(self, x: int, y: int) -> None:
        """Put the cursor there, or as near as can be."""
        self.x = min(max(0, x), self.columns - 1)
        self.y = min(max(0, y), self.rows - 1)
        self.wraps = False

    def up(self, count: int) -> None:
        """Up, but not out of the part that scrolls."""
        top = self.top if self.y >= self.top else 0
        self.move(self.x, max(top, self.y - count))

    def down(self, count: int) -> None:
        """Down, but not out of the part that scrolls."""
        bottom = self.bottom if self.y <= self.bottom else self.rows - 1
        self.move(self.x, min(bottom, self.y + count))

    def line_feed(self, style: Style) -> None:
        """To the next row; at the bottom what is above scrolls."""
        if self.y == self.bottom:
            self.scroll_up(1, style)
        elif self.y < self.rows - 1:
            self.y += 1
        self.wraps = False

    def reverse_line_feed(self, style: Style) -> None:
        """To the row above; at the top what is below scrolls."""
        if self.y == self.top:
            self.scroll_down(1, style)
        elif self.y > 0:
            self.y -= 1
        self.wraps = False

    # scrolling

    def scroll_up(self, count: int, style: Style, *, top: int | None = None) -> None:
        """Rows go at the top (or at `top`), blank ones come at the bottom."""
        top = self.top if top is None else top
        count = min(count, self.bottom + 1 - top)
        del self.lines[top : top + count]
        place = self.bottom + 1 - count
        self.lines[place:place] = [self._blank(style)] * count

    def scroll_down(self, count: int, style: Style, *, top: int | None = None) -> None:
        """Rows go at the bottom, blank ones come at the top (or at `top`)."""
        top = self.top if top is None else top
        count = min(count, self.bottom + 1 - top)
        del self.lines[self.bottom + 1 - count : self.bottom + 1]
        self.lines[top:top] = [self._blank(style)] * count

    def insert_lines(self, count: int, style: Style) -> None:
        """Blank rows at the cursor."""
        if self.top <= self.y <= self.bottom:
            self.scroll_down(count, style, top=self.y)
            self.x, self.wraps = 0, False

    def delete_lines(self, count: int, style: Style) -> None:
        """Take rows away at the cursor."""
        if self.top <= self.y <= self.bottom:
            self.scroll_up(count, style, top=self.y)
            self.x, self.wraps = 0, False

    # within a row

    def _mend(self, line: list[Cell], start: int, end: int) -> None:
        """Blank the other halves of wide characters that cells from start to end are halves of."""
        if 0 < start < self.columns and not line[start][0]:
            line[start - 1] = (" ", line[start - 1][1])
        if end < self.columns and not line[end][0]:
            line[end] = (" ", line[end][1])

    def erase(self, y: int, start: int, end: int, style: Style) -> None:
        """Blank these cells of a row."""
        end = min(end, self.columns)
        if start < end:
            line = self._own(y)
            self._mend(line, start, end)
            line[start:end] = repeat((" ", style.erased()), end - start)

    def erase_rows(self, start: int, end: int, style: Style) -> None:
        """Blank whole rows."""
        self.lines[start:end] = [self._blank(style)] * max(0, end - start)

    def insert_cells(self, count: int, style: Style) -> None:
        """Blank cells at the cursor; what is behind moves on, and out at the edge."""
        line, count = self._own(self.y), min(count, self.columns - self.x)
        self._mend(line, self.x, self.x)
        line[self.x : self.x] = repeat((" ", style.erased()), count)
        if not line[self.columns][0]:
            line[self.columns - 1] = (" ", line[self.columns - 1][1])
        del line[self.columns :]
        self.wraps = False

    def delete_cells(self, count: int, style: Style) -> None:
        """Take cells away at the cursor; what is behind moves up."""
        line, count = self._own(self.y), min(count, self.columns - self.x)
        self._mend(line, self.x, self.x + count)
        del line[self.x : self.x + count]
        line.extend(repeat((" ", style.erased()), count))
        self.wraps = False

    # writing

    def write(self, text: str, style: Style, *, wrap: bool, insert: bool) -> None:
        """Write characters, none of them a control."""
        if text.isascii() and not insert:
            self._write_narrow(text, style, wrap=wrap)
            return
        for character in text:
            columns = width(character)
            if columns == 0:
                self._combine(character)
            elif columns <= self.columns:
                self._write_one(character, columns, style, wrap=wrap, insert=insert)

    def _write_narrow(self, text: str, style: Style, *, wrap: bool) -> None:
        place = 0
        while place < len(text):
            if self.wraps and wrap:
                self.x = 0
                self.line_feed(style)
            room = self.columns - self.x
            piece = text[place : place + room]
            place += len(piece)
            if not wrap and place < len(text):  # all the rest lands in the last column
                piece = piece[:-1] + text[-1]
                place = len(text)
            line, end = self._own(self.y), self.x + len(piece)
            self._mend(line, self.x, end)
            line[self.x : end] = zip(piece, repeat(style))
            self.wraps = end == self.columns
            self.x = min(end, self.columns - 1)

    def _write_one(
        self, character: str, columns: int, style: Style, *, wrap: bool, insert: bool
    ) -> None:
        if wrap and (self.wraps or self.x + columns > self.columns):
            self.x = 0
            self.line_feed(style)
        self.x = min(self.x, self.columns - columns)
        if insert:
            self.insert_cells(columns, style)
        line, end = self._own(self.y), self.x + columns
        self._mend(line, self.x, end)
        line[self.x : end] = [(character, style), ("", style)][:columns]
        self.wraps = end == self.columns
        self.x = min(end, self.columns - 1)

    def _combine(self, character: str) -> None:
        x = self.x if self.wraps else self.x - 1
        line = self._own(self.y)
        if x > 0 and not line[x][0]:
            x -= 1
        if x >= 0 and len(line[x][0]) < _LONGEST:
            line[x] = (line[x][0] + character, line[x][1])

    # its size

    def resize(self, rows: int, columns: int) -> None:
        """Another size: what does not fit goes, at the right, below the cursor, then at the top."""
        below = min(max(0, self.rows - rows), self.rows - 1 - self.y)
        above = max(0, self.rows - below - rows)
        self.lines = self.lines[above : self.rows - below]
        self.y -= above
        for y in range(len(self.lines)):
            line = self._own(y)
            if columns < self.columns and not line[columns][0]:
                line[columns - 1] = (" ", line[columns - 1][1])
            line[columns:] = repeat((" ", PLAIN), max(0, columns - self.columns))
        self.columns = columns
        self._rows.clear()
        self.lines += [self._blank(PLAIN)] * (rows - len(self.lines))
        self.top, self.bottom = 0, rows - 1
        self.move(self.x, self.y)
