"""The schema that editors are given says what the reader does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moat.config.json_schema import json_schema
from moat.config.nodes import ListNode, MapNode, Node
from moat.config.project_help import HELP, TITLE
from moat.config.project_schema import PROJECT
from moat.config.schema import Shape, documented_keys
from moat.config.settings_schema import SETTINGS
from moat.config.yaml import read_yaml
from moat.errors import ConfigError

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs/reference/moat.schema.json"
SCHEMA = json_schema(PROJECT, title=TITLE, help=HELP)
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
SAID_ELSEWHERE = {"$schema", "$defs", "title", "description", "deprecated"}


def is_type(value: Any, name: str) -> bool:
    if isinstance(value, bool) and name != "boolean":
        return False
    return isinstance(value, TYPES[name])


def agrees(schema: Any, value: Any, root: Any) -> bool:
    """Whether a value is as the schema says; a keyword nobody knows is an error of the test."""
    return all(keyword(name, schema, value, root) for name in schema if name not in SAID_ELSEWHERE)


def keyword(name: str, schema: Any, value: Any, root: Any) -> bool:
    wanted = schema[name]
    match name:
        case "$ref":
            assert wanted.startswith("#/$defs/")
            return agrees(root["$defs"][wanted.removeprefix("#/$defs/")], value, root)
        case "type":
            names = [wanted] if isinstance(wanted, str) else wanted
            return any(is_type(value, each) for each in names)
        case "enum":
            return value in wanted
        case "anyOf":
            return any(agrees(each, value, root) for each in wanted)
        case "not":
            return not agrees(wanted, value, root)
        case "minimum":
            return value >= wanted
        case "maximum":
            return value <= wanted
        case "pattern":
            return not isinstance(value, str) or bool(re.search(wanted[:-1] + r"\Z", value))
        case "minItems":
            return not isinstance(value, list) or len(value) >= wanted
        case "prefixItems":
            return not isinstance(value, list) or all(
                agrees(each, item, root) for each, item in zip(wanted, value, strict=False)
            )
        case "items":
            rest = value[len(schema.get("prefixItems", [])) :] if isinstance(value, list) else []
            return all(agrees(wanted, item, root) for item in rest)
        case "required":
            return not isinstance(value, dict) or set(wanted) <= set(value)
        case "properties":
            return not isinstance(value, dict) or all(
                agrees(wanted[key], value[key], root) for key in wanted.keys() & value.keys()
            )
        case "propertyNames":
            return not isinstance(value, dict) or all(agrees(wanted, key, root) for key in value)
        case "additionalProperties":
            known = schema.get("properties", {})
            more = (
                [value[key] for key in value if key not in known] if isinstance(value, dict) else []
            )
            return not more if wanted is False else all(agrees(wanted, each, root) for each in more)
    raise AssertionError(f"the test does not know {name}")


def plain(node: Node) -> Any:
    """What an editor takes the file for."""
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    if isinstance(node, MapNode):
        return {key.text: plain(value) for key, value in node.entries}
    match node.kind:
        case "integer":
            return int(node.text, 0)
        case "number":
            return float(node.text)
        case "boolean":
            return node.text in ("true", "yes")
        case "null":
            return None
    return node.text


def reads(shape: Shape[Any], text: str) -> bool:
    try:
        shape.read(read_yaml(text.encode(), name="f"))
    except ConfigError:
        return False
    return True


def schema_agrees(schema: Any, text: str) -> bool:
    return agrees(schema, plain(read_yaml(text.encode(), name="f")), schema)


GOOD = [
    *("", "---", "{}", "name: a", "agent: codex", "dependencies: [node@22, 'npm:@a/b@1']"),
    *("grants: [openai, mcp:linear]", "env: {A: '1', _b: ''}", "env:", "grants:", "mcp:"),
    *("network: {policy: permissive, rules: [a.test, '*.a.test', 'localhost:80', '[::1]:80']}",),
    *("network: {policy: ask, rules: ['@npm', deny a.test, ' allow  b.test:80', deny @go]}",),
    "network: {rules: [{host: a.test, rules: [allow GET /a/**, 'deny * /b']}, '*.a.test']}",
    *("network: {allow: [a.test]}", "network:", "mounts:", "codex:", "command:"),
    *("mounts: ['a:/b', '~/a:/b c:rw', '../a:/d:ro']", "mounts: [{source: 'a:b', target: /b}]"),
    *("mounts: [{source: a, target: /b, mode: rw}]", "command: [npm, '', test]"),
    "mcp: [{name: a, url: 'https://a.test/mcp?x=1', auth: {grant: 'mcp:a', header: X-Key}}]",
    "mcp: [{name: a, url: 'http://[::1]:8080'}]",
    "codex: {mcp: {a: {command: x, args: [], env: {A: b}, grant: x, cwd: /a}, b: {command: y}}}",
    "codex: {sync_logs: false, model: m, write_mcp_json: true, config: {}, mcp: }",
    "codex: {config: {a: {b: [1, 1.5, true, x, {}]}, c: -1}}",
]
BAD = [
    *("[]", "hello", "5", "quux: 1", "name: A", "name: 5", "name:", "agent: '../x'", "agent: []"),
    *("dependencies: node", "dependencies: ['-g']", "dependencies: [5]", "dependencies: [a, ~]"),
    *("grants: [A]", "grants: {a: b}", "env: [A]", "env: {A: 1}", "env: {A-B: x}", "env: {A: ~}"),
    *('env: {A: "\\0"}', "network: []", "network: {policy: no}", "network: {policy: stict}"),
    *("network: {rules: a.test}", "network: {rules: ['https://a.test']}", "network: {rules: ['']}"),
    *("network: {rules: [permit a.test]}", "network: {rules: [allow GET /a]}"),
    *("network: {rules: [{host: a.test}]}", "network: {rules: [{rules: [allow GET /a]}]}"),
    *("network: {rules: [{host: a/b, rules: []}]}", "network: {rules: [{host: a, paths: []}]}"),
    "network: {rules: [{host: a.test, rules: [GET /a]}]}",
    "network: {rules: [{host: a.test, rules: [allow GET a]}]}",
    *("network: {rules: [], allow: []}", "network: {quux: 1}", "mounts: ['a']", "mounts: ['a:b']"),
    *("mounts: ['a:/b:rx']", "mounts: [[]]", "mounts: [~]", "mounts: [5]", "mounts: [{source: a}]"),
    *("mounts: [{source: a, target: b}]", "mounts: [{source: a, target: /b, mode: x}]"),
    *("mounts: [{source: '', target: /b}]", "mounts: [{source: a, target: /b, quux: 1}]"),
    *("command: npm test", "command: []", "command: ['']", "command: [a, 5]", "command: {a: b}"),
    *("mcp: {a: b}", "mcp: [a]", "mcp: [{name: a}]", "mcp: [~]", "mcp: [{url: 'https://a.test'}]"),
    *("mcp: [{name: a b, url: 'https://a.test'}]", "mcp: [{name: a, url: a.test}]"),
    *("mcp: [{name: a, url: 'https://u@a.test'}]", "mcp: [{name: a, url: 'https://a.test#x'}]"),
    *("mcp: [{name: a, url: 'https://a.test', auth: }]", "mcp: [{name: a, url: 'ftp://a.test'}]"),
    "mcp: [{name: a, url: 'https://a.test', auth: {header: X}}]",
    "mcp: [{name: a, url: 'https://a.test', auth: {grant: x, header: 'A B'}}]",
    *("codex: []", "codex: {quux: 1}", "codex: {sync_logs: 1}", "codex: {model: ''}"),
    *("codex: {mcp: []}", "codex: {mcp: {a: }}", "codex: {mcp: {a: {}}}", "codex: {config: []}"),
    *("codex: {mcp: {'a b': {command: x}}}", "codex: {mcp: {a: {command: x, args: [5]}}}"),
    *("codex: {mcp: {a: {command: ''}}}", "codex: {mcp: {a: {command: x, grant: A}}}"),
    *("codex: {config: {a: ~}}", "codex: {config: {a: [{b: ~}]}}", "codex: {config: {'': x}}"),
]
ONLY_READ = [
    *("network: {rules: ['@A']}", "network: {rules: [{host: a.test, rules: []}]}"),
    "network: {rules: [{host: a.test, rules: [allow GET /a//b]}]}",
    "network: {rules: [a.test, deny a.test]}",
    *("network: {rules: ['*']}", "network: {rules: ['a.test:0']}", "mounts: ['a:/b/../c']"),
    *("mounts: ['a:/b', 'c:/b']", "mcp: [{name: a, url: 'https://127.1'}]"),
    "mcp: [{name: a, url: 'http://a.test', auth: {grant: x}}]",
    "mcp: [{name: a, url: 'https://a.test', auth: {grant: x, header: Host}}]",
    "mcp: [{name: a, url: 'https://a.test'}, {name: a, url: 'https://b.test'}]",
    "{mcp: [{name: a, url: 'https://a.test'}], codex: {mcp: {a: {command: x}}}}",
    *("codex: {config: {a: 2024-01-01}}", "codex: {config: {a: 0x8}}", "codex: {config: {1: x}}"),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_is_good_to_an_editor(text: str) -> None:
    """No red line under what works."""
    assert reads(PROJECT, text)
    assert schema_agrees(SCHEMA, text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused_is_marked_in_an_editor(text: str) -> None:
    """Wherever a form can say so."""
    assert not reads(PROJECT, text)
    assert not schema_agrees(SCHEMA, text)


@pytest.mark.parametrize("text", ONLY_READ)
def test_what_no_form_can_say_only_the_reader_refuses(text: str) -> None:
    """Spellings of hosts, names used twice, what YAML alone knows; the list is whole."""
    assert not reads(PROJECT, text)
    assert schema_agrees(SCHEMA, text)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        *(
            ("", True),
            ("trust: always", True),
            ("trust: yes", False),
            ("network: {allow: 5}", False),
            ("network: {allow: ['@npm'], policy: ask, rules: [deny a.test]}", True),
            ("network: {groups: {npm: [a.test, 'b.test:80'], mine: []}}", True),
            ("network: {groups: {Npm: [a.test]}}", False),
            ("network: {groups: {npm: a.test}}", False),
            ("network: {policy: open}", False),
        ),
        *(("network: {allow: [a.test]}", True), ("upstream: {connect_to: {'a:1': 'b:2'}}", True)),
        *(("upstream: {connect_to: [a]}", False), ("upsteam: {}", False)),
    ],
)
def test_settings_have_a_schema_as_well(text: str, good: bool) -> None:
    """Any shape has one."""
    assert (good, good) == (reads(SETTINGS, text), schema_agrees(json_schema(SETTINGS), text))


def described(schema: Any, key: str = "") -> set[str]:
    """The keys with a description."""
    if not isinstance(schema, dict):
        return set()
    found = {key} if "description" in schema else set()
    for name, below in schema.get("properties", {}).items():
        found |= described(below, f"{key}.{name}" if key else name)
    found |= described(schema.get("items"), key + "[]")
    found |= described(schema.get("additionalProperties"), key + ".*")
    for below in schema.get("anyOf", []):
        found |= described(below, key)
    return found


def test_every_key_is_described() -> None:
    """In a sentence, and none that is not there."""
    assert ["", *documented_keys(PROJECT)] == list(HELP)
    older = {"network.allow", "network.allow[].host", "network.allow[].rules"}
    assert set(HELP) | older == described(SCHEMA)
    assert [] == [key for key, text in HELP.items() if not re.fullmatch(r"\S.*\S\.", text)]


def test_the_older_name_is_marked() -> None:
    """An editor strikes it out."""
    properties = SCHEMA["properties"]["network"]["properties"]

    assert properties["allow"]["deprecated"] is True
    assert "deprecated" not in properties["rules"]


def test_the_published_schema_is_the_generated_one() -> None:
    """Editors are given what this version reads."""
    command = ["-m", "moat.config.json_schema"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)

    assert done.stdout == PUBLISHED.read_text(encoding="utf-8"), (
        f"write it anew: python {' '.join(command)} > {PUBLISHED.relative_to(ROOT)}"
    )
    assert json.loads(done.stdout) == SCHEMA
