"""What a settings file may say: shapes that turn nodes into values.

A shape is a value: `Record(Network, {"allow": ListOf(Text(pattern))})`. Reading goes through the
file from top to bottom and raises ConfigError at the first thing that is wrong; what a rule says
about several places (`Checked`) is looked at when these places have been read.

`nothing` (a key without a value, all its lines commented out) is an empty record, list or map.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from moat.config.mistakes import (
    as_words,
    found,
    in_quotes,
    is_nothing,
    likeness,
    said_twice,
    unexpected,
    unknown_key,
)
from moat.config.nodes import (
    ListNode,
    MapNode,
    Node,
    ScalarNode,
    fault,
    quoted,
)
from moat.errors import MoatError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K", bound=Hashable)

# YAML 1.1 also reads 010 as eight and 1:30 as ninety; no settings file means that.
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\.[0-9]{0,17}([eE][-+][0-9]{1,2})?")


class Shape(Protocol[T_co]):
    """One kind of value: `read` returns it or raises ConfigError."""

    def read(self, node: Node) -> T_co: ...


@dataclass(frozen=True)
class Text(Generic[T]):
    """Text, handed to `parse`, which raises ValueError with a reason (or a MoatError).

    `pattern` is a regular expression that all of every accepted text matches, for those who have
    no `parse`: editors. It may let through more than `parse` does, never less.
    """

    parse: Callable[[str], T]
    pattern: str | None = None

    def read(self, node: Node) -> T:
        if not isinstance(node, ScalarNode) or node.kind != "text":
            raise unexpected("text", node)
        try:
            return self.parse(node.text)
        except ValueError as error:
            raise fault(node.place, str(error)) from None
        except MoatError as error:
            raise fault(node.place, error.message, hint=error.hint) from None


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node) -> str:
        wanted = " or ".join(self.words)
        if not isinstance(node, ScalarNode) or node.kind != "text":
            raise unexpected(wanted, node)
        if node.text not in self.words:
            raise fault(
                node.place,
                f"expected {wanted}, found {quoted(node.text)}",
                hint=likeness(node.text, self.words),
            )
        return node.text


@dataclass(frozen=True)
class Boolean:
    """`true` or `false`, or YAML's other words for them."""

    def read(self, node: Node) -> bool:
        if not isinstance(node, ScalarNode) or node.kind != "boolean":
            raise unexpected("true or false", node)
        return node.text.lower() in ("true", "yes", "on")


@dataclass(frozen=True)
class Integer:
    """A whole number in decimal, both bounds included."""

    minimum: int
    maximum: int

    def read(self, node: Node) -> int:
        wanted = f"a whole number from {self.minimum} to {self.maximum}"
        if not isinstance(node, ScalarNode) or node.kind != "integer":
            raise unexpected(wanted, node)
        decimal = _DECIMAL.fullmatch(node.text)
        if not decimal or not self.minimum <= int(node.text) <= self.maximum:
            raise fault(node.place, f"expected {wanted}, found {quoted(node.text)}")
        return int(node.text)


@dataclass(frozen=True)
class Quantity(Generic[T]):
    """A number with its unit or without: `4g`, `0.5`, `4096`. Handed to `parse` as it is written,
    which raises ValueError with a reason; `pattern` is as in Text."""

    parse: Callable[[str], T]
    pattern: str

    def read(self, node: Node) -> T:
        numbers = {"integer": _DECIMAL, "number": _FRACTION}
        if not isinstance(node, ScalarNode) or node.kind not in ("text", *numbers):
            raise unexpected("an amount, or none", node)
        if node.kind in numbers and not numbers[node.kind].fullmatch(node.text):
            raise fault(node.place, f"expected a decimal number, found {quoted(node.text)}")
        try:
            return self.parse(node.text)
        except ValueError as error:
            raise fault(node.place, str(error)) from None


@dataclass(frozen=True)
class Anything:
    """Whatever can be said: tables, lists, text, numbers, booleans, for a program we do not know.

    Nothing and dates are refused: what becomes of them is not the same everywhere.
    """

    def read(self, node: Node) -> Any:
        if isinstance(node, ListNode):
            return [self.read(item) for item in node.items]
        if isinstance(node, MapNode):
            return {_ANY_TEXT.read(key): self.read(value) for key, value in node.entries}
        match node.kind:
            case "text":
                return node.text
            case "boolean":
                return BOOLEAN.read(node)
            case "integer" if _DECIMAL.fullmatch(node.text):
                return int(node.text)
            case "number" if _FRACTION.fullmatch(node.text):
                return float(node.text)
            case "integer" | "number":
                raise fault(
                    node.place,
                    f"expected a decimal number, found {quoted(node.text)}",
                    hint=f"write it as 8 or 0.5, or as text: {quoted(node.text)}",
                )
            case "null":
                raise fault(node.place, "expected a value, found nothing", hint="leave the key out")
            case _:
                raise fault(
                    node.place,
                    f"expected text, a number, true or false, found {found(node)}",
                    hint=in_quotes(node),
                )


@dataclass(frozen=True)
class Either(Generic[T]):
    """Text for the short form of something, a mapping for the long one."""

    text: Shape[T]
    mapping: Shape[T]

    def read(self, node: Node) -> T:
        if isinstance(node, ListNode) or is_nothing(node):
            raise unexpected("text or a mapping", node)
        return (self.mapping if isinstance(node, MapNode) else self.text).read(node)


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """A list whose items all have one shape; no two may have the same in the attribute `unique`."""

    item: Shape[T]
    unique: str | None = None

    def read(self, node: Node) -> tuple[T, ...]:
        if is_nothing(node):
            return ()
        if not isinstance(node, ListNode):
            raise unexpected("a list", node)
        items: list[T] = []
        lines: dict[str, int] = {}
        for below in node.items:
            item = self.item.read(below)
            if self.unique is not None:
                name: str = getattr(item, self.unique)
                if name in lines:
                    same = f"the {self.unique} {quoted(name)} is already on line {lines[name]}"
                    raise fault(below.place, same)
                lines[name] = below.place.line
            items.append(item)
        return tuple(items)


@dataclass(frozen=True)
class WordsOf:
    """A command as a list of words, the program first; a line for a shell to take apart is none."""

    program: Shape[str]
    word: Shape[str]

    def read(self, node: Node) -> tuple[str, ...]:
        if isinstance(node, ScalarNode) and node.kind == "text":
            raise fault(
                node.place,
                f"expected a list of words, found text, {quoted(node.text)}",
                hint=f"write it as a list: {as_words(node.text)}",
            )
        if is_nothing(node):
            return ()
        if not isinstance(node, ListNode):
            raise unexpected("a list of words", node)
        if not node.items:
            raise fault(node.place, "expected at least one word", hint="leave the key out")
        program, *words = node.items
        return (self.program.read(program), *map(self.word.read, words))


@dataclass(frozen=True)
class MapOf(Generic[K, T]):
    """A mapping with keys of the person's choosing; two may not mean the same."""

    key: Shape[K]
    value: Shape[T]

    def read(self, node: Node) -> dict[K, T]:
        values: dict[K, T] = {}
        lines: dict[K, int] = {}
        for key_node, value_node in _entries(node):
            key = self.key.read(key_node)
            if key in values:
                same = f"{quoted(key_node.text)} means the same as the key on line {lines[key]}"
                raise fault(key_node.place, same)
            lines[key] = key_node.place.line
            values[key] = self.value.read(value_node)
        return values


@dataclass(frozen=True)
class Record(Generic[T]):
    """A mapping with known keys, which become the keyword arguments of `make`.

    A key that is not in the file is not passed, so `make` has the default. `older` has former
    names of keys, which are read as the key they became.
    """

    make: Callable[..., T]
    fields: Mapping[str, Shape[Any]]
    required: frozenset[str] = field(default_factory=frozenset)
    older: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node) -> T:
        values: dict[str, Any] = {}
        written: dict[str, ScalarNode] = {}
        for key, value in _entries(node):
            name = self.older.get(key.text, key.text)
            shape = self.fields.get(name)
            if shape is None:
                raise unknown_key(key, self.fields)
            if name in written:
                raise said_twice(key, written[name], name)
            written[name] = key
            values[name] = shape.read(value)
        for name in self.fields:
            if name in self.required and name not in values:
                raise fault(node.place, f'the key "{name}" is missing')
        return self.make(**values)


@dataclass(frozen=True)
class Checked(Generic[T]):
    """A shape, and a rule about the whole of it that none of its parts can see.

    `check` raises ConfigError; `place_of` finds the place it is about.
    """

    shape: Shape[T]
    check: Callable[[T, Node], None]

    def read(self, node: Node) -> T:
        value = self.shape.read(node)
        self.check(value, node)
        return value


BOOLEAN = Boolean()
_ANY_TEXT = Text(str)


def documented_keys(shape: Shape[Any]) -> Iterator[str]:
    """Yield every known key in dotted form, such as `network.allow`, or `servers[].name`."""
    if isinstance(shape, ListOf):
        yield from ("[]" + _joined(key) for key in documented_keys(shape.item))
    elif isinstance(shape, MapOf):
        yield from (".*" + _joined(key) for key in documented_keys(shape.value))
    elif isinstance(shape, Either):
        yield from documented_keys(shape.mapping)
    elif isinstance(shape, Checked):
        yield from documented_keys(shape.shape)
    elif isinstance(shape, Record):
        for name, below in shape.fields.items():
            yield name
            yield from (name + _joined(key) for key in documented_keys(below))


def _joined(key: str) -> str:
    return key if key.startswith(("[]", ".*")) else "." + key


def _entries(node: Node) -> tuple[tuple[ScalarNode, Node], ...]:
    if is_nothing(node):
        return ()
    if not isinstance(node, MapNode):
        raise unexpected("a mapping", node)
    return node.entries
