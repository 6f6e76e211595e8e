"""A settings file is a small, strict part of YAML, and every refusal has its place."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.config import yaml as reader
from moat.config.nodes import ListNode, MapNode, Node, ScalarNode
from moat.config.yaml import MAX_BYTES, MAX_DEPTH, read_yaml
from moat.errors import ConfigError

LOADERS = [
    pytest.param("SafeLoader", id="python"),
    pytest.param(
        "CSafeLoader",
        id="libyaml",
        marks=pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML has no libyaml here"),
    ),
]


@pytest.fixture(params=LOADERS, autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers PyYAML may come with must agree."""
    monkeypatch.setattr(reader, "Loader", getattr(yaml, request.param))


def read(text: str) -> Node:
    return read_yaml(text.encode(), name="config.yaml")


def plain(node: Node) -> object:
    """Nodes without their places, scalars with their kind."""
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    if isinstance(node, MapNode):
        return {key.text: plain(value) for key, value in node.entries}
    return (node.kind, node.text)


def complaint(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read_yaml(data, name="config.yaml")
    return caught.value.message


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff", "%YAML 1.1\n---\n"])
def test_a_file_that_says_nothing_is_nothing(text: str) -> None:
    """An empty file is an empty mapping; a bare document is nothing at all."""
    node = read(text)

    assert plain(node) in ({}, ("null", ""))


def test_nodes_know_their_kind() -> None:
    """Quotes make text of everything; without them YAML 1.1 decides, and the schema judges."""
    text = "text: [a, '8080', 'no', !!str 5, '<<']"
    assert {"text": [("text", each) for each in ("a", "8080", "no", "5", "<<")]} == plain(
        read(text)
    )
    assert plain(read("[8080, 0x1F, 1.5, no, ~, 2024-01-01, =, !!int 5]")) == [
        ("integer", "8080"),
        ("integer", "0x1F"),
        ("number", "1.5"),
        ("boolean", "no"),
        ("null", "~"),
        ("date", "2024-01-01"),
        ("sign", "="),
        ("integer", "5"),
    ]


def test_nodes_know_their_place() -> None:
    """Lines and columns count from 1, columns in characters and not in bytes."""
    node = read("é:\n  - ü: [x]\n")

    assert isinstance(node, MapNode)
    ((key, value),) = node.entries
    assert (str(key.place), str(value.place)) == ("config.yaml:1:1", "config.yaml:2:3")
    assert isinstance(value, ListNode)
    (inner,) = value.items
    assert isinstance(inner, MapNode)
    ((inner_key, inner_value),) = inner.entries
    assert (str(inner_key.place), str(inner_value.place)) == ("config.yaml:2:5", "config.yaml:2:8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", '3:1: the key "a" is already on line 1'),
        ("a: 1\n'a': 3\n", '2:1: the key "a" is already on line 1'),
        ("x: {y: 1, z: 2, y: 3}", '1:17: the key "y" is already on line 1'),
        ("a: &x 1", "1:4: anchors (&x) are not allowed"),
        ("&x a: 1", "1:1: anchors (&x) are not allowed"),
        ("a: &x [1]\nb: *x", "1:4: anchors (&x) are not allowed"),
        ("a: *x", "1:4: aliases (*x) are not allowed; write the value out"),
        ("*x : 1", "1:1: aliases (*x) are not allowed; write the value out"),
        ("a:\n  <<: {b: 1}", "2:3: merge keys (<<) are not allowed; write the values out"),
        ("a: !secret x", "1:4: the tag !secret is not allowed"),
        ("a: ! x", "1:4: the tag ! is not allowed"),
        ("a: !!set {x}", "1:4: the tag !!set is not allowed"),
        ("a: !!binary aGk=", "1:4: the tag !!binary is not allowed"),
        ("a: !!python/object/apply:os.system [x]", None),
        ("a: !!str [x]", "1:4: the tag !!str is not allowed"),
        ("a: !!int abc", '1:4: "abc" is not what its tag !!int says it is'),
        ("a: !!bool 5", '1:4: "5" is not what its tag !!bool says it is'),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here"),
        ("? [a]\n: 1", "1:3: a key must be text, not a list or a mapping"),
        ("? {a: b}\n: 1", "1:3: a key must be text, not a list or a mapping"),
        ("a:\n\t- b", "2:1: not valid YAML: found character"),
        ("a: b: c", "1:5: not valid YAML: mapping values are not allowed"),
        ("a: [1", None),
        ('a: "\\UFFFFFFFF"', None),
        ("a: \x00", "1:4: the character U+0000 may not be in a YAML file"),
        ("é: 1\r\nb: \x1b[2J", "2:4: the character U+001B may not be in a YAML file"),
    ],
)
def test_refusals_have_their_place(text: str, message: str | None) -> None:
    """Each error says where; where the parsers word it differently, only that it is refused."""
    said = complaint(text.encode())

    assert said.startswith("config.yaml:" + (message or ""))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: \xc3\xa9\xff", "config.yaml:2:5: not UTF-8: invalid start byte"),
        ("a: 1".encode("utf-16"), "config.yaml:1:1: not UTF-8: invalid start byte"),
        (b"\xff", "config.yaml:1:1: not UTF-8: invalid start byte"),
    ],
)
def test_only_utf_8_is_read(data: bytes, message: str) -> None:
    """Another encoding would let two readers see two files."""
    assert message == complaint(data)


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    """The limit is MAX_BYTES, included."""
    data = b"a: 1 #" + b"x" * (MAX_BYTES - 6)

    assert plain(read_yaml(data, name="f")) == {"a": ("integer", "1")}
    assert complaint(data + b"x") == "config.yaml:1:1: the file is larger than 1024 KiB"


def test_nesting_has_an_end() -> None:
    """As deep as MAX_DEPTH is read; deeper is refused before the stack or the clock notices."""
    read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    started = time.monotonic()

    assert f"config.yaml:1:{MAX_DEPTH + 2}: nested deeper than" in complaint(b"[" * MAX_BYTES)
    assert f"nested deeper than {MAX_DEPTH} levels" in complaint(b"- " * 100)

    assert time.monotonic() - started < 5


VALUES = st.recursive(
    st.text(max_size=20),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=10), below, max_size=4)
    ),
    max_leaves=12,
)


def node_or_error(data: bytes) -> Node | ConfigError:
    try:
        return read_yaml(data, name="f")
    except ConfigError as error:
        return error


def as_text(value: object) -> object:
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return ("text", value)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


_same_loader = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@_same_loader
@given(VALUES)
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    """Strict is not deaf: any text, list or mapping can be said."""
    written = yaml.dump(value, Dumper=_NoAliases, width=10**6)

    assert as_text(value) == plain(read(written))


@_same_loader
@given(
    st.binary(max_size=200) | st.text(alphabet="ab01:-[]{}&*!?|>'\"%#<\\U \n\t,~=.", max_size=60)
)
def test_any_file_is_read_or_refused(data: bytes | str) -> None:
    """Nothing a file can hold makes the reader raise anything else."""
    found = node_or_error(data if isinstance(data, bytes) else data.encode())

    if isinstance(found, ConfigError):
        assert found.message.startswith("f:")
    else:
        assert isinstance(found, ScalarNode | ListNode | MapNode)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rules: [@npm]", 'put it in quotes: "@npm"'),
        ("a:\n  - ok\n  - @my-group # x", 'put it in quotes: "@my-group"'),
        ("a: `x`", None),
        ("a: @", None),
    ],
)
def test_a_group_without_quotes_is_told_how_it_is_written(text: str, hint: str | None) -> None:
    """YAML keeps the @ for itself."""
    error = node_or_error(text.encode())

    assert isinstance(error, ConfigError)
    assert "cannot start any token" in error.message
    assert hint == error.hint
