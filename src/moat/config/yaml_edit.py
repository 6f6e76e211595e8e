"""One entry more or less in a list of a YAML file, or another in its place; all else as it stands.

It edits the text at places that the parser has found. What it makes is to be read again: a file
may be written in ways that are not foreseen here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

# What reads as text without quotes, whatever stands around it.
_PLAIN = re.compile(r"(deny )?[a-z][a-z0-9-]*(\.[a-z0-9-]+)+(:[0-9]+)?")


class NotEditable(Exception):
    """The file is written in a way that a program should leave alone."""


@dataclass(frozen=True, slots=True)
class Edit:
    """`value` goes to the end of the list `name` in the section `section`; or, with `first`, to
    its beginning; or to the place of the entry `replaced`. The entry `removed` goes; a
    comment on its line stays."""

    section: str
    name: str
    value: str = ""
    first: bool = False
    replaced: int | None = None
    removed: int | None = None

    @property
    def scalar(self) -> str:
        """The value as it is written."""
        return self.value if _PLAIN.fullmatch(self.value) else self.quoted

    @property
    def quoted(self) -> str:
        """The value in quotes; a host has no character that would need more."""
        return f'"{self.value}"'


def edited(text: str, edit: Edit) -> str:
    """The text of a file, edited. Raises NotEditable."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    # Of the two parsers, this one counts characters.
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    at, removed, added = _change(text, root, edit)
    if "\r\n" in text:
        added = added.replace("\r\n", "\n").replace("\n", "\r\n")
    return mark + text[:at] + added + text[at + removed :]


_Change = tuple[int, int, str]
"""Where, how many characters go there, and what comes instead."""


def _change(text: str, root: yaml.Node | None, edit: Edit) -> _Change:
    if root is None:
        return _append(text, _lines(0, f"{edit.section}:", f"{edit.name}:", f"- {edit.scalar}"))
    found = _find(root, edit.section)
    if found is None:
        if _is_flow(root):
            return _into_braces(root, f"{edit.section}: {{{edit.name}: [{edit.quoted}]}}")
        indent = root.start_mark.column
        added = _lines(indent, f"{edit.section}:", f"{edit.name}:", f"- {edit.scalar}")
        return _append(text, added)
    key, section = found
    if _is_nothing(section):
        added = _lines(key.start_mark.column + 2, f"{edit.name}:", f"- {edit.scalar}")
        return _below(text, key, added)
    found = _find(section, edit.name)
    if found is None:
        if _is_flow(section):
            return _into_braces(section, f"{edit.name}: [{edit.quoted}]")
        added = _lines(section.start_mark.column, f"{edit.name}:", f"- {edit.scalar}")
        return _below(text, key, added)
    return _in_list(text, *found, edit)


def _in_list(text: str, key: yaml.Node, entries: yaml.Node, edit: Edit) -> _Change:
    if _is_nothing(entries):
        return _below(text, key, _lines(key.start_mark.column + 2, f"- {edit.scalar}"))
    if not isinstance(entries, yaml.SequenceNode):
        raise NotEditable(f"{edit.name} is no list")
    items = entries.value
    if edit.removed is not None:
        return _without(text, entries, edit.removed)
    if edit.replaced is not None:
        old = items[edit.replaced]
        size = old.end_mark.index - old.start_mark.index
        return old.start_mark.index, size, edit.quoted if entries.flow_style else edit.scalar
    if not entries.flow_style:
        line = _lines(entries.start_mark.column, f"- {edit.scalar}")
        return _below(text, key if edit.first else items[-1], line)
    if not items:
        return entries.end_mark.index - 1, 0, edit.quoted
    if edit.first:
        return items[0].start_mark.index, 0, f"{edit.quoted}, "
    return items[-1].end_mark.index, 0, f", {edit.quoted}"


def _without(text: str, entries: yaml.SequenceNode, number: int) -> _Change:
    items = entries.value
    start, end = items[number].start_mark.index, items[number].end_mark.index
    if entries.flow_style:
        if number + 1 < len(items):
            end = items[number + 1].start_mark.index
        elif number:
            start = items[number - 1].end_mark.index
        if "#" in text[start:end]:
            raise NotEditable("a comment stands in the list")
        return start, end - start, ""
    start = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    comment = text[end:stop].lstrip(" \t")
    kept = " " * entries.start_mark.column + comment if comment.startswith("#") else ""
    return start, stop - start, kept


def _find(node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    """A key of a mapping, and what stands there."""
    if not isinstance(node, yaml.MappingNode):
        raise NotEditable("it is no mapping")
    return next(((key, value) for key, value in node.value if key.value == name), None)


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.value


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _into_braces(mapping: yaml.Node, added: str) -> _Change:
    assert isinstance(mapping, yaml.MappingNode)
    if not mapping.value:
        return mapping.end_mark.index - 1, 0, added
    return mapping.value[-1][1].end_mark.index, 0, f", {added}"


def _lines(indent: int, *lines: str) -> str:
    """Lines, each a step further in than the one before."""
    return "".join(f"{' ' * (indent + 2 * step)}{line}\n" for step, line in enumerate(lines))


def _append(text: str, added: str) -> _Change:
    return len(text), 0, added if text.endswith("\n") or not text else "\n" + added


def _below(text: str, node: yaml.Node, added: str) -> _Change:
    """Below the line a key or an entry ends on."""
    end = text.find("\n", node.end_mark.index)
    return _append(text, added) if end < 0 else (end + 1, 0, added)
