"""Shapes give values, or the first error in the file, at its place, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from moat.config.schema import (
    Boolean,
    Integer,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
    documented_keys,
)
from moat.config.yaml import read_yaml
from moat.errors import ConfigError, UnsafeFile

TEXT = Text(str)


@dataclass(frozen=True)
class Server:
    name: str
    port: int = 80


@dataclass(frozen=True)
class Site:
    title: str = "none"
    public: bool = False
    servers: tuple[Server, ...] = ()
    labels: dict[str, int] | None = None


SERVER = Record(Server, {"name": TEXT, "port": Integer(1, 65535)}, frozenset({"name"}))
SITE = Record(
    Site,
    {
        "title": TEXT,
        "public": Boolean(),
        "servers": ListOf(SERVER),
        "labels": MapOf(Text(str.lower), Integer(-5, 5)),
    },
)


def read(text: str, shape: Shape[Any] = SITE) -> Any:
    return shape.read(read_yaml(text.encode(), name="f"))


def refusal(text: str, shape: Shape[Any] = SITE) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text, shape)
    return caught.value


def test_a_whole_file_becomes_a_value() -> None:
    """Nested records, lists and maps, and the defaults of what is left out."""
    text = """
title: "8080"
public: yes
servers:
  - name: a
  - {name: b, port: 8080}
labels: {X: 5, y: -5}
"""
    expected = Site("8080", True, (Server("a"), Server("b", 8080)), {"x": 5, "y": -5})

    assert expected == read(text)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "~", "servers:\n"])
def test_what_is_left_out_has_its_default(text: str) -> None:
    """Also when all the lines below a key are commented out."""
    assert Site() == read(text)


def test_an_emptied_map_is_an_empty_map() -> None:
    """A key without a value says there is nothing in it."""
    assert Site(labels={}) == read("labels:\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "f:1:1: expected a mapping, found a list"),
        ("hello", 'f:1:1: expected a mapping, found text, "hello"'),
        ("title: [a]", "f:1:8: expected text, found a list"),
        ("title: {a: b}", "f:1:8: expected text, found a mapping"),
        ("title:", "f:1:7: expected text, found nothing"),
        ("title: 8080", 'f:1:8: expected text, found a whole number, "8080"'),
        ("title: no", 'f:1:8: expected text, found true or false, "no"'),
        ("title: 2024-01-01", 'f:1:8: expected text, found a date, "2024-01-01"'),
        ("title: 1.5", 'f:1:8: expected text, found a number, "1.5"'),
        ("public: 1", 'f:1:9: expected true or false, found a whole number, "1"'),
        ('public: "yes"', 'f:1:9: expected true or false, found text, "yes"'),
        ("servers: a", 'f:1:10: expected a list, found text, "a"'),
        ("servers: {name: a}", "f:1:10: expected a list, found a mapping"),
        ("servers: [a]", 'f:1:11: expected a mapping, found text, "a"'),
        ("servers: [{port: 1}]", 'f:1:11: the key "name" is missing'),
        ("servers: [~]", 'f:1:11: the key "name" is missing'),
        ("labels: {5: 5}", 'f:1:10: expected text, found a whole number, "5"'),
        ("labels: {x: 1,\n X: 2}", 'f:2:2: "X" means the same as the key on line 1'),
    ],
)
def test_a_wrong_type_says_what_was_expected_and_found(text: str, message: str) -> None:
    """In the words of the file, not of Python."""
    assert message == refusal(text).message


@pytest.mark.parametrize("value", ["0", "65536", "010", "0x50", "1_0", "1:30", "9" * 5000])
def test_integers_are_decimal_and_within_bounds(value: str) -> None:
    """YAML reads 010 as eight and 1:30 as ninety; here neither is read."""
    message = refusal(f"servers: [{{name: a, port: {value}}}]").message

    assert message.startswith("f:1:27: expected a whole number from 1 to 65535, found ")


@pytest.mark.parametrize("value", [1, 65535])
def test_bounds_are_included(value: int) -> None:
    """The twin of the refusals above."""
    assert (Server("a", value),) == read(f"servers: [{{name: a, port: {value}}}]").servers


def test_text_that_yaml_takes_for_something_else_needs_quotes() -> None:
    """The hint says so, with the text."""
    assert refusal("title: 8080").hint == 'put it in quotes: "8080"'
    assert refusal("title:").hint is None
    assert refusal("title: [a]").hint is None


def test_an_unknown_key_names_its_likeness() -> None:
    """A slip of the finger is answered with the key that was meant."""
    error = refusal("title: a\nserver: []\n")

    assert (
        error.message,
        error.hint,
    ) == ('f:2:1: unknown key "server"', 'did you mean "servers"?')


def test_an_unknown_key_unlike_all_others_gets_the_list() -> None:
    """Then the person sees what there is, of the record the key is in."""
    assert refusal("quux: 1").hint == "known here: title, public, servers, labels"
    assert refusal("servers: [{quux: 1}]").hint == "known here: name, port"


def test_the_first_error_of_the_file_is_raised() -> None:
    """By position, whatever its sort and whatever the order of the schema."""
    assert refusal("quux: 1\ntitle: []").message.startswith("f:1:1: unknown")
    assert refusal("labels: {x: no}\nquux: 1").message.startswith("f:1:13: expected")
    assert refusal("servers:\n- {name: []}\n- {quux: 1}").message.startswith("f:2:10: expected")


def test_a_parsers_reason_is_given_its_place() -> None:
    """A parser knows nothing of files."""

    def parse(text: str) -> str:
        if text == "unsafe":
            raise UnsafeFile("others can change it", hint="run: chmod")
        raise ValueError("too\nlong")

    shape: Shape[Any] = Record(dict, {"a": Text(parse)})

    assert refusal("a: x", shape).message == r"f:1:4: too\nlong"
    error = refusal("a: unsafe", shape)
    assert (error.message, error.hint) == ("f:1:4: others can change it", "run: chmod")


def test_every_known_key_can_be_listed() -> None:
    """For pages of documentation to be held against."""
    shape: Shape[Any] = Record(dict, {"site": SITE, "more": MapOf(TEXT, ListOf(SERVER)), "x": TEXT})

    assert list(documented_keys(shape)) == [
        "site",
        "site.title",
        "site.public",
        "site.servers",
        "site.servers[].name",
        "site.servers[].port",
        "site.labels",
        "more",
        "more.*[].name",
        "more.*[].port",
        "x",
    ]
