"""How mistakes in a settings file are told: what was expected, what is there, what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moat.config.nodes import Kind, ListNode, MapNode, Node, ScalarNode, fault, quoted
from moat.errors import ConfigError

_NAMES: dict[Kind, str] = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "sign": "a sign",
}


def is_nothing(node: Node) -> bool:
    """Whether a key has no value."""
    return isinstance(node, ScalarNode) and node.kind == "null"


def unexpected(wanted: str, node: Node) -> ConfigError:
    """Something else stands there than what is wanted."""
    hint = None
    if wanted == "text" and isinstance(node, ScalarNode) and node.kind != "null":
        hint = in_quotes(node)
    return fault(node.place, f"expected {wanted}, found {found(node)}", hint=hint)


def in_quotes(node: ScalarNode) -> str:
    """What to do with text that YAML takes for something else."""
    return f"put it in quotes: {quoted(node.text)}"


def as_words(line: str) -> str:
    """Write a command line as the list a person may have meant."""
    import json  # both for next to no file
    import shlex

    example = ["npm", "test"]
    if len(line) > 200:
        return json.dumps(example)
    try:
        words = shlex.split(line)
    except ValueError:  # a quote without its end
        words = line.split()
    return json.dumps(words if any(words) else example, ensure_ascii=False)


def found(node: Node) -> str:
    """What stands there, in words."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a mapping"
    if node.kind == "null":
        return "nothing"
    return f"{_NAMES[node.kind]}, {quoted(node.text)}"


def unknown_key(key: ScalarNode, known: Mapping[str, object]) -> ConfigError:
    """A key that is none of the known ones."""
    hint = likeness(key.text, known) or f"known here: {', '.join(known)}"
    return fault(key.place, f"unknown key {quoted(key.text)}", hint=hint)


def said_twice(key: ScalarNode, before: ScalarNode, name: str) -> ConfigError:
    """A key under its older name and under its name now."""
    other = f'the key "{before.text}" on line {before.place.line}'
    reason = f'"{key.text}" says the same as {other}: one of them is an older name'
    return fault(key.place, reason, hint=f'write "{name}" alone')


def likeness(text: str, known: Iterable[str]) -> str | None:
    """The known word that a text is most like, as a hint."""
    from difflib import get_close_matches  # here, as most files have no such word

    near = get_close_matches(text[:64], known, n=1)
    return f'did you mean "{near[0]}"?' if near else None
