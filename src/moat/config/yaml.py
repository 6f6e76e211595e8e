"""A strict reader for the part of YAML that settings files need.

It builds on the parser's events and not on its nodes: anchors are gone once nodes are composed,
and with them the chance to refuse a file that says a billion laughs in ten lines.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from moat.config.nodes import Kind, ListNode, MapNode, Node, Place, ScalarNode, fault, quoted

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

# A settings file is written by hand: far beyond any real one, far below what takes time to read.
MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_CORE = "tag:yaml.org,2002:"
_KINDS: dict[str, Kind] = {
    _CORE + "str": "text",
    _CORE + "int": "integer",
    _CORE + "float": "number",
    _CORE + "bool": "boolean",
    _CORE + "null": "null",
    _CORE + "timestamp": "date",
    _CORE + "value": "sign",
}
# YAML 1.1 section 5.1 (c-printable), with the line breaks of section 5.4.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def read_yaml(data: bytes, *, name: str) -> Node:
    """Return what the file called `name` says; a file that says nothing is an empty mapping.

    Refused with ConfigError, each at its place: what is not UTF-8 or not YAML, more than
    MAX_BYTES, nesting deeper than MAX_DEPTH, a second document, the same key twice, a key that is
    a list or a mapping, anchors, aliases, merge keys, and tags besides the core ones.
    """
    if len(data) > MAX_BYTES:
        raise fault(Place(name, 1, 1), f"the file is larger than {MAX_BYTES // 1024} KiB")
    text = _decode(data, name)
    try:
        return _Reader(text, name).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        reason = f"not valid YAML: {error.problem or error.context}"
        raise fault(place, reason, hint=_group_hint(text, place)) from None
    # The last two come from the scanner in Python, for one from "\UFFFFFFFF".
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise fault(Place(name, 1, 1), f"not valid YAML: {error}") from None


def _group_hint(text: str, place: Place) -> str | None:
    """What to do where YAML stumbles over the @ of a group of hosts."""
    line = "".join(_LINE_BREAK.split(text)[place.line - 1 : place.line])
    group = re.match("@[a-z0-9-]+", line[place.column - 1 :])
    return f"put it in quotes: {quoted(group[0])}" if group else None


def _decode(data: bytes, name: str) -> str:
    data = data.removeprefix(b"\xef\xbb\xbf")  # the mark some editors put first
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _end_of(data[: error.start].decode("utf-8"), name)
        raise fault(place, f"not UTF-8: {error.reason}") from None
    if bad := _UNPRINTABLE.search(text):
        place = _end_of(text[: bad.start()], name)
        raise fault(place, f"the character U+{ord(bad[0]):04X} may not be in a YAML file")
    return text


def _end_of(text: str, name: str) -> Place:
    lines = _LINE_BREAK.split(text)
    return Place(name, len(lines), len(lines[-1]) + 1)


class _Reader:
    """Turns the events of one file into nodes, each method taking what it is named after."""

    def __init__(self, text: str, name: str) -> None:
        self._events = yaml.parse(text, Loader=Loader)
        self._name = name
        self._resolver: Any = yaml.resolver.Resolver()

    def document(self) -> Node:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return MapNode(Place(self._name, 1, 1), ())
        node = self._node(self._next(), depth=0)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after, "a second document begins here; a settings file is one document")
        return node

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"aliases (*{event.anchor}) are not allowed; write the value out")
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._refuse(event, f"anchors (&{event.anchor}) are not allowed")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, depth=depth)
        assert isinstance(event, yaml.MappingStartEvent)
        return self._map(event, depth=depth)

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        implicit = event.implicit if event.tag is None else (True, False)
        found: str = self._resolver.resolve(yaml.ScalarNode, event.value, implicit)
        tag = found if event.tag is None else event.tag
        kind = _KINDS.get(tag)
        if kind is None:
            self._refuse_tag(event, tag)
        if tag not in (found, _CORE + "str"):
            self._refuse(
                event, f"{quoted(event.value)} is not what its tag {_short(tag)} says it is"
            )
        return ScalarNode(self._place(event), event.value, kind)

    def _list(self, event: yaml.SequenceStartEvent, *, depth: int) -> ListNode:
        if event.tag not in (None, _CORE + "seq"):
            self._refuse_tag(event, event.tag)
        items: list[Node] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(item, depth=depth + 1))
        return ListNode(self._place(event), tuple(items))

    def _map(self, event: yaml.MappingStartEvent, *, depth: int) -> MapNode:
        if event.tag not in (None, _CORE + "map"):
            self._refuse_tag(event, event.tag)
        entries: list[tuple[ScalarNode, Node]] = []
        lines: dict[str, int] = {}
        while not isinstance(start := self._next(), yaml.MappingEndEvent):
            key = self._node(start, depth=depth + 1)
            if not isinstance(key, ScalarNode):
                raise fault(key.place, "a key must be text, not a list or a mapping")
            if key.text in lines:
                line = lines[key.text]
                raise fault(key.place, f"the key {quoted(key.text)} is already on line {line}")
            lines[key.text] = key.place.line
            entries.append((key, self._node(self._next(), depth=depth + 1)))
        return MapNode(self._place(event), tuple(entries))

    def _next(self) -> yaml.Event:
        event: yaml.Event = next(self._events)
        return event

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None  # only the events of a stream made by hand have none
        return Place(self._name, mark.line + 1, mark.column + 1)

    def _refuse_tag(self, event: yaml.Event, tag: str) -> NoReturn:
        if tag == _CORE + "merge":
            self._refuse(event, "merge keys (<<) are not allowed; write the values out")
        self._refuse(event, f"the tag {_short(tag)} is not allowed")

    def _refuse(self, event: yaml.Event, reason: str) -> NoReturn:
        raise fault(self._place(event), reason)


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag
