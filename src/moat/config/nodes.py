"""What a settings file says, and where in the file it says it."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from moat.errors import ConfigError

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "null", "date", "sign"]
"""What a scalar was written as: `8080` is an integer, `"8080"` text; a lone `=` is a sign."""


class Place(NamedTuple):
    """A position in a file; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ScalarNode(NamedTuple):
    """One value, as it was written but for quotes and escapes."""

    place: Place
    text: str
    kind: Kind


class ListNode(NamedTuple):
    """Values in order."""

    place: Place
    items: tuple[Node, ...]


class MapNode(NamedTuple):
    """Keys and values in the order of the file; no two keys have the same text."""

    place: Place
    entries: tuple[tuple[ScalarNode, Node], ...]


Node: TypeAlias = ScalarNode | ListNode | MapNode


def place_of(node: Node, *path: str | int) -> Place:
    """Return the place of a key, or of an item by its index, or of what is nearest around it."""
    place = node.place
    for step in path:
        found = _step(node, step)
        if found is None:
            break
        place, node = found
    return place


def _step(node: Node, step: str | int) -> tuple[Place, Node] | None:
    if isinstance(node, MapNode):
        return next(((key.place, value) for key, value in node.entries if key.text == step), None)
    if isinstance(node, ListNode) and isinstance(step, int):
        return node.items[step].place, node.items[step]
    return None


def fault(place: Place, reason: str, *, hint: str | None = None) -> ConfigError:
    """Return the error for something wrong at `place`.

    Control characters are escaped and endless reasons cut: a settings file may come with somebody
    else's repository, and what it quotes ends on the terminal.
    """
    message = _printable(f"{place}: {reason if len(reason) <= 400 else reason[:399] + '…'}")
    return ConfigError(message, hint=None if hint is None else _printable(hint))


def quoted(text: str) -> str:
    """Return `text` in quotes, no more of it than fits a line."""
    return f'"{text}"' if len(text) <= 60 else f'"{text[:59]}…"'


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
