"""What a settings file may say: shapes that turn nodes into values.

A shape is a value: `Record(Network, {"allow": ListOf(Text(pattern))})`. Reading goes through the
file from top to bottom and raises ConfigError at the first thing that is wrong.

`nothing` (a key without a value, all its lines commented out) is an empty record, list or map.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from moat.config.nodes import Kind, ListNode, MapNode, Node, ScalarNode, fault, quoted
from moat.errors import ConfigError, MoatError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K", bound=Hashable)

# YAML 1.1 also reads 010 as eight and 1:30 as ninety; no settings file means that.
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NAMES: dict[Kind, str] = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "sign": "a sign",
}


class Shape(Protocol[T_co]):
    """One kind of value: `read` returns it or raises ConfigError."""

    def read(self, node: Node) -> T_co: ...


@dataclass(frozen=True)
class Text(Generic[T]):
    """Text, handed to `parse`, which raises ValueError with a reason (or a MoatError)."""

    parse: Callable[[str], T]

    def read(self, node: Node) -> T:
        if not isinstance(node, ScalarNode) or node.kind != "text":
            raise _unexpected("text", node)
        try:
            return self.parse(node.text)
        except ValueError as error:
            raise fault(node.place, str(error)) from None
        except MoatError as error:
            raise fault(node.place, error.message, hint=error.hint) from None


@dataclass(frozen=True)
class Boolean:
    """`true` or `false`, or YAML's other words for them."""

    def read(self, node: Node) -> bool:
        if not isinstance(node, ScalarNode) or node.kind != "boolean":
            raise _unexpected("true or false", node)
        return node.text.lower() in ("true", "yes", "on")


@dataclass(frozen=True)
class Integer:
    """A whole number in decimal, both bounds included."""

    minimum: int
    maximum: int

    def read(self, node: Node) -> int:
        wanted = f"a whole number from {self.minimum} to {self.maximum}"
        if not isinstance(node, ScalarNode) or node.kind != "integer":
            raise _unexpected(wanted, node)
        decimal = _DECIMAL.fullmatch(node.text)
        if not decimal or not self.minimum <= int(node.text) <= self.maximum:
            raise fault(node.place, f"expected {wanted}, found {quoted(node.text)}")
        return int(node.text)


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """A list whose items all have one shape."""

    item: Shape[T]

    def read(self, node: Node) -> tuple[T, ...]:
        if _is_nothing(node):
            return ()
        if not isinstance(node, ListNode):
            raise _unexpected("a list", node)
        return tuple(self.item.read(item) for item in node.items)


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

    A key that is not in the file is not passed, so `make` has the default.
    """

    make: Callable[..., T]
    fields: Mapping[str, Shape[Any]]
    required: frozenset[str] = field(default_factory=frozenset)

    def read(self, node: Node) -> T:
        values: dict[str, Any] = {}
        for key, value in _entries(node):
            shape = self.fields.get(key.text)
            if shape is None:
                raise _unknown_key(key, self.fields)
            values[key.text] = shape.read(value)
        for name in self.fields:
            if name in self.required and name not in values:
                raise fault(node.place, f'the key "{name}" is missing')
        return self.make(**values)


def documented_keys(shape: Shape[Any]) -> Iterator[str]:
    """Yield every known key in dotted form, such as `network.allow`, or `servers[].name`."""
    if isinstance(shape, ListOf):
        yield from ("[]" + _joined(key) for key in documented_keys(shape.item))
    elif isinstance(shape, MapOf):
        yield from (".*" + _joined(key) for key in documented_keys(shape.value))
    elif isinstance(shape, Record):
        for name, below in shape.fields.items():
            yield name
            yield from (name + _joined(key) for key in documented_keys(below))


def _joined(key: str) -> str:
    return key if key.startswith(("[]", ".*")) else "." + key


def _entries(node: Node) -> tuple[tuple[ScalarNode, Node], ...]:
    if _is_nothing(node):
        return ()
    if not isinstance(node, MapNode):
        raise _unexpected("a mapping", node)
    return node.entries


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.kind == "null"


def _unexpected(wanted: str, node: Node) -> ConfigError:
    hint = None
    if wanted == "text" and isinstance(node, ScalarNode) and node.kind != "null":
        hint = f"put it in quotes: {quoted(node.text)}"
    return fault(node.place, f"expected {wanted}, found {_found(node)}", hint=hint)


def _found(node: Node) -> str:
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a mapping"
    if node.kind == "null":
        return "nothing"
    return f"{_NAMES[node.kind]}, {quoted(node.text)}"


def _unknown_key(key: ScalarNode, known: Mapping[str, object]) -> ConfigError:
    from difflib import get_close_matches  # here, as most files have no such key

    near = get_close_matches(key.text[:64], known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return fault(key.place, f"unknown key {quoted(key.text)}", hint=hint)
