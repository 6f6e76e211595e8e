"""What is on a terminal's screen after all that was written to it.

It is told what a filter lets through: whole sequences, whole characters, all of them known.
Emulating costs more than passing on, so what is fed waits until somebody wants to know.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from moat.terminal.grid import Grid
from moat.terminal.modes import SCREENS
from moat.terminal.sequence import numbers as read_numbers
from moat.terminal.style import PLAIN, Style, restyled

_TOKEN = re.compile(
    rb"([^\x1b]+)"  # text
    rb"|\x1b\[([<-?]?)([0-9;:]*)([ -/]*[@-~])"  # private letter, parameters, final
    rb"|\x1b\]([^\x07\x1b]*)(?:\x07|\x1b\\)"  # a string
    rb"|\x1b([ -/]*[0-~])"  # another escape
)
_PIECES = re.compile("[^\x00-\x1f]+|\n+|[\x08\t\x0b-\x0f]")
# Bytes that may wait. More are worked off as they come, so that nobody ever waits for many.
_WAITING = 1 << 10
_MOST = 1000  # rows, columns
_MANY = 32  # keyboards upon each other, titles put aside
# Lines as drawn in the alphabet that `ESC ( 0` chooses, from ` to ~.
_LINES = dict(
    zip(range(0x60, 0x7F), "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True)
)  # fmt: skip
_ON = frozenset({7, 25})  # modes that are on in a terminal nobody has changed


@dataclass(frozen=True, slots=True)
class Saved:
    """The cursor as it was put aside."""

    x: int = 0
    y: int = 0
    style: Style = PLAIN
    alphabets: tuple[str, str] = ("B", "B")
    shifted: int = 0
    origin: bool = False


@dataclass(slots=True)
class Side:
    """What each of the two screens has for itself."""

    grid: Grid
    saved: Saved = field(default_factory=Saved)
    keyboards: list[int] = field(default_factory=list)  # flags, the last ones hold


class Screen:
    """A terminal of so many rows and columns. No input makes it fail, or grow."""

    def __init__(self, rows: int, columns: int, *, at: tuple[int, int] = (1, 1)) -> None:
        """`at` is where the cursor stands at first: row and column, from 1."""
        self.rows, self.columns = _bounded(rows), _bounded(columns)
        self._waiting: deque[bytes] = deque()
        self._length = 0
        self._reset()
        self.grid.move(at[1] - 1, at[0] - 1)

    def _reset(self) -> None:
        self.main, self.other = (Side(Grid(self.rows, self.columns)) for _ in range(2))
        self.side = self.main
        self.style = PLAIN
        self.alphabets = ["B", "B"]
        self.shifted = 0
        self.inserts = self.keypad = False
        self.modes = set(_ON)
        self.other_keys = b""  # how the modifiers of keys are told
        self.shape = b""
        self.title = b""
        self.titles: list[tuple[int, bytes]] = []  # put aside: what of it, and the window's
        self.tabs = set(range(8, self.columns, 8))
        self._last = ""

    @property
    def grid(self) -> Grid:
        """The screen that is seen."""
        return self.side.grid

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column of the cursor, from 1, as a program counts them."""
        top = self.grid.top if 6 in self.modes else 0
        return self.grid.y - top + 1, self.grid.x + 1

    # what comes in

    def feed(self, data: bytes) -> None:
        """This is written next: whole sequences and characters, as a filter gives them."""
        if data:
            self._waiting.append(data)
            self._length += len(data)
            if self._length > _WAITING:
                self.work(self._length - _WAITING)

    def work(self, budget: int) -> bool:
        """Work off what waits, about so many bytes of it; whether something still waits."""
        while self._waiting and budget > 0:
            data = self._waiting.popleft()
            place = 0
            for token in _TOKEN.finditer(data):
                self._take(token)
                place = token.end()
                if place >= budget:
                    break
            else:
                place = len(data)
            budget -= place
            self._length -= place
            if place < len(data):
                self._waiting.appendleft(data[place:])
        return bool(self._waiting)

    def settle(self) -> None:
        """Work off all that waits."""
        self.work(self._length)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size from here on."""
        self.settle()
        rows, columns = _bounded(rows), _bounded(columns)
        if (rows, columns) != (self.rows, self.columns):
            self.tabs |= set(range(self.columns - self.columns % -8, columns, 8))
            self.rows, self.columns = rows, columns
            for side in (self.main, self.other):
                side.grid.resize(rows, columns)

    def _take(self, token: re.Match[bytes]) -> None:
        text, private, parameters, final, string, escape = token.groups()
        if text is not None:
            self._text(text.decode(errors="replace"))
        elif final == b"m" and not private:
            self.style = restyled(self.style, parameters)
        elif final is not None:
            self._sequence(private, parameters, final)
        elif escape is not None:
            self._escape(escape)
        else:
            number, _, title = string.partition(b";")
            if number in (b"0", b"2"):
                self.title = title[:1024]

    # text

    def _text(self, text: str) -> None:
        grid = self.grid
        if text.count("\n") > self.rows and grid.scrolls_whole:
            # So many lines that none of the first will be seen, and these begin at the left.
            last = text.rsplit("\r\n", self.rows)
            if len(last) > self.rows and "\x0e" not in last[0] and "\x0f" not in last[0]:
                text = "\r\n" + "\r\n".join(last[1:])
        for piece in _PIECES.findall(text):
            if piece >= " ":
                self._write(piece)
            elif piece == "\r":
                grid.x, grid.wraps = 0, False
            elif piece[0] in "\n\x0b\x0c":
                for _ in range(min(len(piece), 2 * self.rows)):
                    grid.line_feed(self.style)
            elif piece == "\t":
                self._tab(1)
            elif piece == "\b":
                grid.move(grid.x - 1, grid.y)
            else:
                self.shifted = 1 if piece == "\x0e" else 0

    def _write(self, text: str) -> None:
        self._last = text[-1]
        if self.alphabets[self.shifted] == "0":
            text = text.translate(_LINES)
        self.grid.write(text, self.style, wrap=7 in self.modes, insert=self.inserts)

    def _tab(self, count: int) -> None:
        """To a stop of tabs further on; back, where the count is negative."""
        grid = self.grid
        if count > 0:
            after = sorted(stop for stop in self.tabs if stop > grid.x)
            place = after[count - 1] if count <= len(after) else self.columns - 1
            grid.x = min(place, self.columns - 1)
        else:
            before = sorted((stop for stop in self.tabs if stop < grid.x), reverse=True)
            grid.move(before[-count - 1] if -count <= len(before) else 0, grid.y)

    # sequences

    def _sequence(self, private: bytes, parameters: bytes, final: bytes) -> None:
        numbers = read_numbers(parameters)
        first = numbers[0]
        if private:
            self._private(private, numbers, parameters, final)
        elif final in _MOVING:
            self._move(final, max(1, first), max(1, (*numbers, 1)[1]))
        elif final in _CHANGING:
            self._change(final, first)
        elif final == b"r":
            self._margins(numbers)
        elif final == b"g":
            if first == 3:
                self.tabs.clear()
            elif first == 0:
                self.tabs.discard(self.grid.x)
        elif final in (b"h", b"l") and first == 4:
            self.inserts = final == b"h"
        elif final == b" q":
            self.shape = parameters if first else b""
        elif final in (b"s", b"u"):
            self._save() if final == b"s" else self._fetch()
        elif final == b"!p":
            self._soft_reset()
        elif final == b"t":
            self._put_title_aside(first, (*numbers, 0)[1])

    def _move(self, final: bytes, first: int, second: int) -> None:
        grid = self.grid
        top = grid.top if 6 in self.modes else 0
        bottom = grid.bottom if 6 in self.modes else self.rows - 1
        if final in (b"H", b"f"):
            grid.move(second - 1, min(top + first - 1, bottom))
        elif final == b"d":
            grid.move(grid.x, min(top + first - 1, bottom))
        elif final in (b"G", b"`"):
            grid.move(first - 1, grid.y)
        elif final in (b"A", b"F"):
            grid.up(first)
        elif final in (b"B", b"E", b"e"):
            grid.down(first)
        elif final in (b"C", b"a"):
            grid.move(grid.x + first, grid.y)
        elif final == b"D":
            grid.move(grid.x - first, grid.y)
        elif final == b"I":
            self._tab(first)
        else:
            self._tab(-first)
        if final in (b"E", b"F"):
            grid.x = 0

    def _change(self, final: bytes, first: int) -> None:
        grid, style, count = self.grid, self.style, max(1, first)
        if final == b"J":
            self._erase_display(first)
        elif final == b"K":
            start = 0 if first in (1, 2) else grid.x
            end = grid.x + 1 if first == 1 else self.columns
            grid.erase(grid.y, start, end if first <= 2 else start, style)
        elif final == b"X":
            grid.erase(grid.y, grid.x, grid.x + count, style)
        elif final == b"@":
            grid.insert_cells(count, style)
        elif final == b"P":
            grid.delete_cells(count, style)
        elif final == b"L":
            grid.insert_lines(count, style)
        elif final == b"M":
            grid.delete_lines(count, style)
        elif final == b"S":
            grid.scroll_up(count, style)
        elif final == b"T":
            grid.scroll_down(count, style)
        elif self._last:  # REP
            self._write(self._last * min(count, self.columns))

    def _erase_display(self, how: int) -> None:
        grid, style = self.grid, self.style
        if how == 0:
            grid.erase(grid.y, grid.x, self.columns, style)
            grid.erase_rows(grid.y + 1, self.rows, style)
        elif how == 1:
            grid.erase_rows(0, grid.y, style)
            grid.erase(grid.y, 0, grid.x + 1, style)
        elif how == 2:
            grid.erase_rows(0, self.rows, style)

    def _margins(self, numbers: tuple[int, ...]) -> None:
        top = max(1, numbers[0])
        bottom = min((*numbers, 0)[1] or self.rows, self.rows)
        if top < bottom:
            self.grid.top, self.grid.bottom = top - 1, bottom - 1
            self._move(b"H", 1, 1)

    # modes

    def _private(self, private: bytes, numbers: tuple[int, ...], raw: bytes, final: bytes) -> None:
        if private == b"?" and final in (b"h", b"l"):
            for mode in numbers:
                self._mode(mode, on=final == b"h")
        elif private == b"?" and final in (b"J", b"K"):
            self._change(final, numbers[0])
        elif final == b"u":
            self._keyboard(private, numbers)
        elif private == b">" and final == b"m" and numbers[0] == 4:
            self.other_keys = raw if numbers[1:] not in ((), (0,)) else b""
        elif private == b">" and final == b"n":
            self.other_keys = b""

    def _keyboard(self, private: bytes, numbers: tuple[int, ...]) -> None:
        flags, keyboards = numbers[0] & 31, self.side.keyboards
        if private == b">":
            del keyboards[: len(keyboards) + 1 - _MANY]
            keyboards.append(flags)
        elif private == b"<":
            del keyboards[max(0, len(keyboards) - max(1, numbers[0])) :]
        else:
            keyboards[:] = keyboards or [0]
            before = keyboards[-1]
            how = (*numbers, 1)[1]
            keyboards[-1] = {2: before | flags, 3: before & ~flags}.get(how, flags)

    def _put_title_aside(self, how: int, which: int) -> None:
        """Or fetch it back: both, the icon's, the window's."""
        kinds = [kind for kind, _ in self.titles]
        if how == 22 and len(kinds) < _MANY:
            self.titles.append((which, self.title))
        elif how == 23 and which in kinds:
            _, title = self.titles.pop(len(kinds) - 1 - kinds[::-1].index(which))
            self.title = title if which != 1 else self.title

    def _mode(self, mode: int, *, on: bool) -> None:
        if mode in SCREENS:
            self._switch(mode, on=on)
        elif mode == 1048:
            self._save() if on else self._fetch()
        else:
            (self.modes.add if on else self.modes.discard)(mode)
            if mode == 6:
                self._move(b"H", 1, 1)

    def _switch(self, mode: int, *, on: bool) -> None:
        """Change between the two screens; the cursor stays where it is but for 1049."""
        if on == (self.side is self.other):
            return
        before = self.grid
        if on and mode == 1049:
            self._save()
        self.side = self.other if on else self.main
        grid = self.grid
        grid.top, grid.bottom = before.top, before.bottom
        grid.move(before.x, before.y)
        if on and mode == 1049:
            grid.erase_rows(0, self.rows, self.style)
        elif mode == 1047:
            self.other.grid.erase_rows(0, self.rows, PLAIN)
        elif mode == 1049:
            self._fetch()

    def _escape(self, escape: bytes) -> None:
        grid = self.grid
        if escape == b"7":
            self._save()
        elif escape == b"8":
            self._fetch()
        elif escape in (b"=", b">"):
            self.keypad = escape == b"="
        elif escape in (b"D", b"E"):
            grid.line_feed(self.style)
            grid.x = 0 if escape == b"E" else grid.x
        elif escape == b"M":
            grid.reverse_line_feed(self.style)
        elif escape == b"H":
            self.tabs.add(grid.x)
        elif escape == b"c":
            self._reset()
        elif escape == b"#8":
            grid.fill("E")
        elif escape[:1] in (b"(", b")"):
            self.alphabets[escape[0] - ord("(")] = escape[1:].decode()

    def _soft_reset(self) -> None:
        self.style, self.alphabets, self.shifted = PLAIN, ["B", "B"], 0
        self.inserts = self.keypad = False
        self.modes -= {1, 6}
        self.modes |= {7, 25}
        self.grid.top, self.grid.bottom = 0, self.rows - 1
        self.side.saved = Saved()

    def _save(self) -> None:
        first, second = self.alphabets
        self.side.saved = Saved(
            self.grid.x, self.grid.y, self.style, (first, second), self.shifted, 6 in self.modes
        )

    def _fetch(self) -> None:
        saved = self.side.saved
        self.style, self.alphabets, self.shifted = saved.style, [*saved.alphabets], saved.shifted
        (self.modes.add if saved.origin else self.modes.discard)(6)
        self.grid.move(saved.x, saved.y)


_MOVING = frozenset({b"H", b"f", b"d", b"G", b"`", b"A", b"B", b"C", b"D", b"E", b"F"})
_MOVING |= {b"a", b"e", b"I", b"Z"}
_CHANGING = frozenset({b"J", b"K", b"X", b"@", b"P", b"L", b"M", b"S", b"T", b"b"})


def _bounded(size: int) -> int:
    return min(max(1, size), _MOST)
