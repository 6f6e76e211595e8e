"""Shapes give values, or the first error in the file, at its place, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from moat.config.nodes import Node, fault, place_of
from moat.config.schema import (
    Anything,
    Boolean,
    Checked,
    Choice,
    Either,
    Integer,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
    WordsOf,
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


@dataclass(frozen=True)
class Door:
    """For a record that says one thing by two names."""

    ways: tuple[str, ...] = ()


DOOR: Shape[Any] = Record(Door, {"ways": ListOf(TEXT)}, older={"paths": "ways"})
ANY: Shape[Any] = Record(dict, {"a": Anything()})
WORDS: Shape[Any] = Record(dict, {"run": WordsOf(TEXT, TEXT)})


def test_a_choice_is_one_of_its_words() -> None:
    """And a near miss is told which one was meant."""
    shape: Shape[Any] = Record(dict, {"a": Choice(("strict", "permissive"))})

    assert {"a": "permissive"} == read("a: permissive", shape)
    error = refusal("a: stict", shape)
    assert 'f:1:4: expected strict or permissive, found "stict"' == error.message
    assert 'did you mean "strict"?' == error.hint
    assert refusal("a: quux", shape).hint is None
    assert 'f:1:4: expected strict or permissive, found true or false, "yes"' == (
        refusal("a: yes", shape).message
    )


def test_anything_becomes_plain_values() -> None:
    """Tables, lists and scalars as another program's file would have them."""
    text = 'a: {t: x, "8": "8", n: -8, f: [1.5, 1.5e+3, 2.], b: yes, m: {}, l: []}'
    expected = {"t": "x", "8": "8", "n": -8, "f": [1.5, 1500.0, 2.0], "b": True, "m": {}, "l": []}

    assert {"a": expected} == read(text, ANY)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: {b: }", "f:1:8: expected a value, found nothing", "leave the key out"),
        ("a: ~", "f:1:4: expected a value, found nothing", "leave the key out"),
        (
            "a: [2024-01-01]",
            'f:1:5: expected text, a number, true or false, found a date, "2024-01-01"',
            'put it in quotes: "2024-01-01"',
        ),
        ("a: {1: x}", 'f:1:5: expected text, found a whole number, "1"', 'put it in quotes: "1"'),
        *(
            (
                f"a: {number}",
                f'f:1:4: expected a decimal number, found "{number}"',
                f'write it as 8 or 0.5, or as text: "{number}"',
            )
            for number in ("010", "0x8", "1:30", "1_0.5", ".inf", "-.inf", ".nan", ".5", "1:30.5")
        ),
    ],
)
def test_what_programs_read_differently_is_no_value(text: str, message: str, hint: str) -> None:
    """Nothing, dates, and numbers of YAML alone."""
    error = refusal(text, ANY)

    assert (message, hint) == (error.message, error.hint)


def test_a_short_and_a_long_form_give_the_same() -> None:
    """Text or a mapping, each by its own shape."""
    shape: Shape[Any] = ListOf(Either(Text(Server), SERVER))

    assert (Server("a"), Server("b", 1)) == read("[a, {name: b, port: 1}]", shape)
    assert "f:1:2: expected text or a mapping, found a list" == refusal("[[]]", shape).message
    assert "f:1:2: expected text or a mapping, found nothing" == refusal("[~]", shape).message
    assert 'put it in quotes: "5"' == refusal("[5]", shape).hint


def test_a_list_can_forbid_one_name_twice() -> None:
    """The second is refused, with the line of the first."""
    shape: Shape[Any] = ListOf(SERVER, unique="name")

    assert (Server("a"), Server("b")) == read("- name: a\n- name: b", shape)
    assert 'f:2:3: the name "a" is already on line 1' == (
        refusal("- name: a\n- name: a", shape).message
    )


def test_words_are_a_list_with_a_program_in_front() -> None:
    """A key without a value is as good as left out."""
    assert {"run": ("npm", "test")} == read("run: [npm, test]", WORDS)
    assert {"run": ()} == read("run:", WORDS)
    assert "f:1:6: expected at least one word" == refusal("run: []", WORDS).message
    assert "f:1:6: expected a list of words, found a mapping" == (
        refusal("run: {a: b}", WORDS).message
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("npm test", '["npm", "test"]'),
        ("echo 'a  b' é", '["echo", "a  b", "é"]'),
        ("echo 'a", '["echo", "\'a"]'),
        ('""', '["npm", "test"]'),
        (" ", '["npm", "test"]'),
        ("x" * 201, '["npm", "test"]'),
    ],
)
def test_a_command_line_is_answered_with_its_words(line: str, words: str) -> None:
    """Copying the hint is enough, unless the line is endless."""
    quoted = line.replace("'", "''")

    assert f"write it as a list: {words}" == refusal(f"run: '{quoted}'", WORDS).hint


def test_an_older_name_is_read_as_the_new_one() -> None:
    """But not both, in either order, and nobody is told of the older one."""
    assert Door(("a",)) == read("paths: [a]", DOOR)
    assert Door(("a",)) == read("ways: [a]", DOOR)
    error = refusal("ways: [a]\npaths: [b]", DOOR)
    assert (
        'f:2:1: "paths" says the same as the key "ways" on line 1: one of them is an older name'
        == error.message
    )
    assert 'write "ways" alone' == error.hint
    assert refusal("paths: [a]\nways: [b]", DOOR).message.startswith('f:2:1: "ways" says the same')
    assert "known here: ways" == refusal("quux: 1", DOOR).hint
    assert ["ways"] == list(documented_keys(DOOR))


def test_a_rule_about_the_whole_comes_last() -> None:
    """What is wrong in a part is said first; the rule finds the place of any part."""

    def check(value: Any, node: Node) -> None:
        if value != {"a": {"b": ({"c": "x"},)}}:
            raise fault(place_of(node, "a", "b", 0, "c"), "no good")

    record: Shape[Any] = Record(dict, {"c": TEXT})
    inner: Shape[Any] = Record(dict, {"b": ListOf(record)})
    shape: Shape[Any] = Checked(Record(dict, {"a": inner}), check)

    assert {"a": {"b": ({"c": "x"},)}} == read("a: {b: [{c: x}]}", shape)
    assert "f:1:10: no good" == refusal("a: {b: [{c: y}]}", shape).message
    assert "f:1:9: no good" == refusal("a: {b: [{}]}", shape).message
    assert "f:1:1: no good" == refusal("a:", shape).message
    assert "f:1:13: expected text" in refusal("a: {b: [{c: []}]}", shape).message
    assert ["a", "a.b", "a.b[].c"] == list(documented_keys(shape))
