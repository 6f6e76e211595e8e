"""How a character looks: colours and such, as a program sets them, and as they are set again.

Select Graphic Rendition as in ECMA-48 and xterm's "Control Sequences".
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

_ON = frozenset(range(1, 10)) - {4, 6} | {53}  # bold, faint, … struck out; a line above
_OFF = {22: {1, 2}, 23: {3}, 25: {5}, 27: {7}, 28: {8}, 29: {9}, 55: {53}}


class Style(NamedTuple):
    """Each colour, and the line below, as the parameters that set it; empty where it is usual."""

    front: str = ""
    back: str = ""
    line: str = ""  # below the character
    line_colour: str = ""
    more: frozenset[int] = frozenset()

    def erased(self) -> Style:
        """How what is erased looks: the colour behind stays, and nothing else."""
        return Style(back=self.back) if self.back else PLAIN

    def sequence(self) -> bytes:
        """What sets exactly this style."""
        lines = (self.line, self.line_colour)
        parts = ["", *map(str, sorted(self.more)), self.front, self.back, *lines]
        return b"\x1b[" + ";".join(["", *filter(None, parts)]).encode() + b"m"


PLAIN = Style()


@lru_cache(maxsize=1024)  # programs set the same few again and again
def restyled(style: Style, parameters: bytes) -> Style:
    """The style after `CSI parameters m`; what is not understood changes nothing."""
    values = parameters.decode().split(";")
    place = 0
    while place < len(values):
        code, _, _ = values[place].partition(":")
        number = int(code or "0")
        if number in (38, 48, 58):
            colour, place = _colour(values, place)
            if colour and number == 38:
                style = style._replace(front=colour)
            elif colour and number == 48:
                style = style._replace(back=colour)
            elif colour:
                style = style._replace(line_colour=colour)
            continue
        style = _one(style, number, values[place])
        place += 1
    return style


def _one(style: Style, number: int, value: str) -> Style:
    if number == 0:
        return PLAIN
    if number == 4 or number == 21:
        line = "21" if number == 21 else value[:3]
        return style._replace(line="" if line == "4:0" else line)
    if number == 24:
        return style._replace(line="")
    if number in _ON:
        return style._replace(more=style.more | {number})
    if number in _OFF:
        return style._replace(more=style.more - _OFF[number])
    if 30 <= number <= 39 or 90 <= number <= 97:
        return style._replace(front="" if number == 39 else str(number))
    if 40 <= number <= 49 or 100 <= number <= 107:
        return style._replace(back="" if number == 49 else str(number))
    return style._replace(line_colour="") if number == 59 else style


def _colour(values: list[str], place: int) -> tuple[str, int]:
    """A colour of many, in its parameters; and where the next begin."""
    if ":" in values[place]:
        return values[place][:40], place + 1
    length = {"5": 3, "2": 5}.get("".join(values[place + 1 : place + 2]), 2)
    taken = values[place : place + length]
    whole = len(taken) == length and length > 2
    numbers = [str(min(int(value or "0"), 255)) for value in taken[1:]]
    return ";".join([taken[0], *numbers]) if whole else "", place + length
