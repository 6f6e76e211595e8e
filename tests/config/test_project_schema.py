"""What each key of moat.yaml takes and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.config.network import NetworkRule
from moat.config.project import (
    CodexProject,
    Project,
    ProjectMount,
    ProjectNetwork,
    RemoteAuth,
    RemoteServer,
    StdioServer,
)
from moat.config.project_schema import PROJECT, is_run_name
from moat.config.yaml import read_yaml
from moat.errors import ConfigError


def read(text: str) -> Project:
    return PROJECT.read(read_yaml(text.encode(), name="f"))


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        *("", "# nothing\n", "---", "{}", "env:", "network:", "mounts:", "mcp:", "codex:"),
        *("command:", "grants:", "dependencies:", "codex: {mcp: , config: }"),
    ],
)
def test_what_is_left_out_has_its_default(text: str) -> None:
    """Also where all lines below a key are commented out."""
    assert Project() == read(text)


def test_an_unknown_key_names_its_likeness() -> None:
    """In every table of the file."""
    assert 'did you mean "grants"?' == refusal("grant: []").hint
    assert 'did you mean "rules"?' == refusal("network: {rule: []}").hint
    assert 'did you mean "source"?' == refusal("mounts: [{sources: a}]").hint
    assert 'did you mean "header"?' == (
        refusal("mcp: [{name: a, url: 'https://a.test', auth: {grant: a, headers: b}}]").hint
    )
    assert 'did you mean "args"?' == refusal("codex: {mcp: {a: {command: a, arg: []}}}").hint
    assert 'did you mean "sync_logs"?' == refusal("codex: {sync-logs: true}").hint


TAKEN = {
    "name": ["a", "0", "fix-login", "a" * 41],
    "agent": ["codex", "Claude-Code", "a.b_c"],
    "dependencies": [
        *("node", "node@22", "python@3.12.1", "npm:left-pad", "npm:@scope/name@1.2.3-rc.1"),
        *("go:example.com/a/b@v1.0.0", "g++", "claude_code@latest"),
    ],
    "grants": ["openai", "mcp:linear", "a_b-c:0"],
}
REFUSED = {
    "name": ["", "A", "-a", "a_b", "a" * 42, "é", "a\\n"],
    "agent": ["", "-x", "a b", "../x", "a/b", "a\\n", "x" * 65],
    "dependencies": [
        *("", "-g", "--global", "../x", "a b", "a;b", "$x", "a@", "@1", "npm:", ":a", "NPM:a"),
        *("npm:../x", "npm:a/../b", "npm:a//b", "npm:-g", "a@-x", "a@1@2", "a/b", "a:b:c", "a\\n"),
        *("npm:file:x", "npm:https://a.test/x", "a@../b", "é", "a" * 65, "npm:@@a/b"),
    ],
    "grants": ["", "OpenAI", "a:b:c", "mcp:", ":a", "a b", "../x", "a/b", "a\\n", "-a"],
}


def document(key: str, value: str) -> str:
    return f'{key}: ["{value}"]' if key in ("dependencies", "grants") else f'{key}: "{value}"'


@pytest.mark.parametrize(("key", "value"), [(key, one) for key in TAKEN for one in TAKEN[key]])
def test_names_are_taken(key: str, value: str) -> None:
    """As they are written."""
    taken = getattr(read(document(key, value)), key)

    assert taken in (value, (value,))


@pytest.mark.parametrize(("key", "value"), [(key, one) for key in REFUSED for one in REFUSED[key]])
def test_odd_names_are_refused(key: str, value: str) -> None:
    """They end in commands and paths: no options, no way upwards, no shell's signs, no line end."""
    column = len(key) + (4 if key in ("dependencies", "grants") else 3)

    message = refusal(document(key, value)).message

    assert message.startswith(f"f:1:{column}: ")
    assert " is not " in message


@pytest.mark.parametrize("name", TAKEN["name"])
def test_a_run_name_is_known(name: str) -> None:
    """The command line asks the same question."""
    assert is_run_name(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a_b", "a" * 42, "é", "a\n"])
def test_no_other_name_is_a_run_name(name: str) -> None:
    """The twin of the above."""
    assert not is_run_name(name)


def test_env_maps_names_to_text() -> None:
    """Any text a program can be given."""
    assert {"A": "8080", "_b1": "", "C": "x\ny"} == read(
        'env: {A: "8080", _b1: "", C: "x\\ny"}'
    ).env


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{A: 8080}", 'f:1:10: expected text, found a whole number, "8080"', '"8080"'),
        ("{A: no}", 'f:1:10: expected text, found true or false, "no"', '"no"'),
        ("{A: 1.5}", 'f:1:10: expected text, found a number, "1.5"', '"1.5"'),
    ],
)
def test_env_values_that_yaml_takes_for_something_else_need_quotes(
    text: str, message: str, hint: str
) -> None:
    """`010` and `no` would be other text when they come out again."""
    error = refusal(f"env: {text}")

    assert (message, f"put it in quotes: {hint}") == (error.message, error.hint)


@pytest.mark.parametrize("name", ["1A", "", "A-B", "A B", "A=B", "é", "A\\n"])
def test_env_names_are_those_of_shells(name: str) -> None:
    """A name with = in it would be another variable."""
    assert refusal(f'env: {{"{name}": x}}').message.endswith(
        "is not the name of an environment variable"
    )


@pytest.mark.parametrize(
    "text",
    [
        *('env: {A: "a\\0"}', 'command: ["a\\0"]', 'command: [a, "b\\0"]', 'mounts: ["a\\0:/b"]'),
        *('mounts: ["a:/b\\0"]', 'mounts: [{source: "a\\0", target: /b}]', 'codex: {model: "\\0"}'),
        'codex: {mcp: {a: {command: "a\\0"}}}',
        'codex: {mcp: {a: {command: a, args: ["\\0"]}}}',
        'codex: {mcp: {a: {command: a, env: {B: "\\0"}}}}',
        'codex: {mcp: {a: {command: a, cwd: "\\0"}}}',
    ],
)
def test_what_no_program_can_be_given_is_refused(text: str) -> None:
    """Found here, and not as a ValueError when the box is made."""
    assert refusal(text).message.endswith("no program can be given text with a NUL in it")


def test_network_has_a_policy_and_rules() -> None:
    """Who leaves the policy out leaves it to the person; hosts come out as HostPattern writes."""
    text = """
network:
  policy: permissive
  rules:
    - Example.com
    - "*.a.test:443"
    - localhost:80
    - "@npm"
    - deny B.test
    - " deny  c.test:443 "
    - deny c.test:80
    - deny @go
    - allow d.test
    - host: "E.test:8443"
      rules: ["allow  get  /a%2db/*", "deny * /**"]
    - {host: "@github", rules: [allow GET /**]}
"""
    assert read("network: {rules: []}").network == ProjectNetwork()
    for policy in ("strict", "ask", "permissive"):
        assert policy == read(f"network: {{policy: {policy}}}").network.policy
    assert (
        ProjectNetwork(
            "permissive",
            (
                *map(NetworkRule, ("example.com", "*.a.test", "localhost:80", "@npm")),
                NetworkRule("b.test", "deny"),
                NetworkRule("c.test:443", "deny"),
                NetworkRule("c.test:80", "deny"),
                NetworkRule("@go", "deny"),
                NetworkRule("d.test"),
                NetworkRule("e.test:8443", paths=("allow GET /a-b/*", "deny * /**")),
                NetworkRule("@github", paths=("allow GET /**",)),
            ),
        )
        == read(text).network
    )


@pytest.mark.parametrize(
    ("rules", "place", "reason"),
    [
        ("['@Npm']", 19, "not the name of a group"),
        ("['@']", 19, "not the name of a group"),
        ("[a b]", 19, "is not HOST, allow HOST or deny HOST"),
        ("[allow GET /a]", 19, "is not HOST"),
        ("[{host: a.test}]", 19, 'the key "rules" is missing'),
        ("[{rules: []}]", 19, 'the key "host" is missing'),
        ("[{host: a.test, rules: []}]", 34, "no request would be allowed"),
        ("[{host: a.test, rules: }]", 34, "no request would be allowed"),
        ("[{host: deny a.test, rules: [allow GET /a]}]", 26, "is not a host name"),
        ("[{host: a.test, rules: [GET /a]}]", 42, "is not allow or deny"),
        ("[{host: a.test, rules: [allow GET /a//b]}]", 42, "more than one way"),
        ("[{host: a.test, rules: [allow GET /a?b]}]", 42, "without its query"),
        ("[{host: a.test, rules: [allow GET /a**]}]", 42, "whole segments"),
        ("[{host: a.test, rules: [allow GETT /a]}]", 42, "no method GETT; did you mean GET?"),
        ("[{host: a.test, paths: []}]", 34, "unknown key"),
        ("[[a.test]]", 19, "expected text or a mapping"),
    ],
)
def test_a_rule_that_says_nothing_is_refused_at_its_place(
    rules: str, place: int, reason: str
) -> None:
    """Down to the line about paths."""
    message = refusal(f"network: {{rules: {rules}}}").message
    assert message.startswith(f"f:1:{place}: ")
    assert reason in message


LINE = "{host: %s, rules: [allow GET /a]}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.test", LINE % "a.test"),
        (LINE % "a.test", "a.test"),
        (LINE % "a.test", LINE % "a.test"),
        (LINE % "a.test", "deny a.test"),
        ("a.test", "deny a.test"),
        ("deny a.test", "a.test"),
        ("deny a.test", "a.test:8443"),
        ("deny a.test:8443", "a.test:8443"),
        ("'*.a.test'", "deny b.a.test"),
        ("'*.a.test'", LINE % "'*.b.a.test'"),
        ("deny *.a.test", "'*.a.test:80'"),
        ("'@npm'", LINE % "'@npm'"),
        ("deny @npm", "'@npm'"),
    ],
)
def test_a_rule_that_another_hides_is_refused(first: str, second: str) -> None:
    """It would protect nobody, or allow nothing, and nobody would see why."""
    message = refusal(f"network:\n  rules:\n    - {first}\n    - {second}").message
    assert message.startswith("f:4:7: ")
    assert "on line 3 decides before this" in message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.test", "a.test"),
        ("'*.a.test'", "b.a.test"),
        ("deny a.test", "deny a.test"),
        ("b.a.test", "deny *.a.test"),
        (LINE % "b.a.test", "'*.a.test'"),
        (LINE % "a.test", LINE % "a.test:8443"),
        ("'*.a.test'", LINE % "a.test"),
        ("a.test:8443", "deny a.test"),
        ("deny a.test:8443", "a.test"),
        ("'@npm'", "deny @pypi"),
        ("'@npm'", "deny a.test"),
        (LINE % "a.test", "a.tests"),
        ("'*.a.test'", LINE % "xa.test"),
    ],
)
def test_rules_that_all_count_are_taken(first: str, second: str) -> None:
    """The narrower one in front, other ports, the same said twice."""
    assert 2 == len(read(f"network:\n  rules:\n    - {first}\n    - {second}").network.rules)


@pytest.mark.parametrize("pattern", ["https://a.test", "*", "*.com", "a.*.com", "", "a.test:0"])
@pytest.mark.parametrize("key", ["rules", "allow"])
def test_a_wrong_rule_is_refused_at_its_place(key: str, pattern: str) -> None:
    """Under the older name as well."""
    assert refusal(f'network: {{{key}: [ok.test, "{pattern}"]}}').message.startswith("f:1:28: ")


def test_allow_is_the_older_name_of_rules() -> None:
    """One of them, not both."""
    assert (NetworkRule("a.test"),) == read("network: {allow: [a.test]}").network.rules
    assert 'write "rules" alone' == refusal("network: {rules: [], allow: []}").hint


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("a:/b", ProjectMount("a", "/b")),
        ("~/a:/b:ro", ProjectMount("~/a", "/b")),
        ("/a b:/b c:rw", ProjectMount("/a b", "/b c", writable=True)),
        ("{source: 'a:b', target: '/c:d', mode: rw}", ProjectMount("a:b", "/c:d", writable=True)),
        ("{source: a, target: /b, mode: ro}", ProjectMount("a", "/b")),
        ("{source: a, target: /b}", ProjectMount("a", "/b")),
    ],
)
def test_mounts_have_a_short_and_a_long_form(text: str, mount: ProjectMount) -> None:
    """Read-only unless `rw` is written."""
    assert (mount,) == read(f"mounts:\n- {text}").mounts


@pytest.mark.parametrize(
    "text",
    [
        *("a", "'a:'", "':/b'", "a:b", "a:/b:rx", "a:/b:RW", "a:b:/c", "a:/b:ro:rw", "a:/b:", "5"),
        *("a:/b/../c", "a:/./b", "{source: a}", "{target: /b}", "{source: '', target: /b}"),
        *("{source: a, target: b}", "{source: a, target: /b/..}", "[]", ""),
        *("{source: a, target: /b, mode: x}", "{source: a, target: /b, mode: yes}"),
    ],
)
def test_a_mount_that_is_none_is_refused(text: str) -> None:
    """At its place; a mode that is misspelled is not read-only, nor part of a path."""
    assert refusal(f"mounts:\n- {text}").message.startswith("f:2:")


def test_a_target_is_mounted_once() -> None:
    """Whichever form it has."""
    error = refusal("mounts:\n- a:/b\n- {source: c, target: /b}")

    assert 'f:3:3: the target "/b" is already on line 2' == error.message


def test_a_command_is_a_list_of_words() -> None:
    """Only the program must be something."""
    assert ("npm", "", "a b") == read("command: [npm, '', 'a b']").command
    assert 'write it as a list: ["npm", "test"]' == refusal("command: npm test").hint
    assert "expected at least one word" in refusal("command: []").message
    assert "nothing between the quotes" in refusal("command: ['', a]").message
    assert 'put it in quotes: "3"' == refusal("command: [a, 3]").hint


def server(more: str, *, name: str = "a") -> str:
    return f"mcp:\n- name: {name}\n  {more}"


@pytest.mark.parametrize(
    "url",
    [
        *("https://a.test", "https://a.test/mcp?x=1&y=%20", "http://localhost:8080/mcp"),
        *("https://[::1]:8443/", "https://a.test?x", "https://a.test/@b:c"),
    ],
)
def test_a_server_has_an_address(url: str) -> None:
    """It stays as it is written."""
    assert (RemoteServer("a", url),) == read(server(f'url: "{url}"')).mcp


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is not an address such as"),
        ("a.test", "is not an address such as"),
        ("ftp://a.test", "is not an address such as"),
        ("file:///etc/passwd", "is not an address such as"),
        ("HTTPS://a.test", "is not an address such as"),
        ("https://", "is not an address such as"),
        ("https:///mcp", "is not an address such as"),
        ("https://a.test\\\\@b.test", "user or password"),
        ("https://a.test\\\\b", "is not an address such as"),
        ("https://a.test/ b", "is not an address such as"),
        ("https://a.test/\\n", "is not an address such as"),
        ("https://a.test/\\t", "is not an address such as"),
        ("https://é.test", "is not an address such as"),
        ("https://u:p@a.test", "user or password"),
        ("https://a.test/#x", "has a fragment"),
        ("https://a.test#@b.test", "has a fragment"),
        ("https://a.test:0", "is not a port"),
        ("https://a.test:x", "is not a port"),
        ("https://127.1", "odd spelling"),
        ("https://0x7f.1", "odd spelling"),
        ("https://a..test", "is not a host name"),
    ],
)
def test_an_address_that_two_could_read_differently_is_refused(url: str, reason: str) -> None:
    """At its place."""
    message = refusal(server(f'url: "{url}"')).message

    assert message.startswith("f:3:8: ")
    assert reason in message


def test_a_server_can_have_a_credential() -> None:
    """In the header Authorization unless another is named."""
    text = "url: 'https://a.test'\n  auth: "

    assert (
        RemoteAuth("mcp:a", "Authorization") == read(server(text + "{grant: 'mcp:a'}")).mcp[0].auth
    )
    assert RemoteAuth("x", "X-Key") == (
        read(server(text + "{grant: x, header: X-Key}")).mcp[0].auth
    )
    assert 'key "grant" is missing' in refusal(server(text + "{header: X-Key}")).message


@pytest.mark.parametrize("header", ["", "A B", "A:", "A\\n", "é", "Host", "content-length", "TE"])
def test_a_header_that_frames_a_request_holds_no_credential(header: str) -> None:
    """Nor does one that is no header at all."""
    message = refusal(
        server(f"url: 'https://a.test'\n  auth: {{grant: x, header: \"{header}\"}}")
    ).message

    assert message.startswith("f:4:28: ")


def test_a_credential_never_goes_over_plain_http() -> None:
    """Without one, http is fine."""
    error = refusal(server("url: http://a.test\n  auth: {grant: x}"))

    assert "f:3:3: a credential never goes over plain http" == error.message
    assert read(server("url: http://a.test")).mcp[0].auth is None
    assert read(server("url: https://a.test\n  auth: {grant: x}")).mcp[0].auth is not None


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a:b", "é", "x" * 65, "a\\n"])
def test_a_server_has_a_name_that_can_stand_anywhere(name: str) -> None:
    """Reached over http or started in the box."""
    assert "is not the name of a server" in (
        refusal(server("url: 'https://a.test'", name=f'"{name}"')).message
    )
    assert "is not the name of a server" in (
        refusal(f'codex: {{mcp: {{"{name}": {{command: x}}}}}}').message
    )


def test_a_server_has_one_name_and_a_name_one_server() -> None:
    """The second is refused, wherever the first is and in whichever order."""
    remote = "mcp:\n- name: ok\n  url: 'https://ok.test'\n- name: a\n  url: 'https://a.test'\n"
    local = "codex:\n  mcp:\n    b: {command: x}\n    a: {command: x}\n"

    assert refusal(remote + "- name: a\n  url: 'https://b.test'").message == (
        'f:6:3: the name "a" is already on line 4'
    )
    assert 'f:9:5: there is an MCP server "a" on line 4 already' == refusal(remote + local).message
    assert 'f:8:3: there is an MCP server "a" on line 4 already' == refusal(local + remote).message
    assert ["b", "c"] == list(read(remote + local.replace(" a:", " c:")).codex.mcp)


def test_all_of_codex_is_read() -> None:
    """Its settings as plain values."""
    text = """
codex:
  mcp:
    a-B_1: {command: npx, args: [-y, ""], env: {K: v}, grant: "mcp:x", cwd: tools}
  sync_logs: no
  model: m
  config: {a: {b: [1, 2.5, yes, x]}}
  write_mcp_json: true
"""
    expected = CodexProject(
        {"a-B_1": StdioServer("npx", ("-y", ""), {"K": "v"}, "mcp:x", "tools")},
        sync_logs=False,
        model="m",
        config={"a": {"b": [1, 2.5, True, "x"]}},
        write_mcp_json=True,
    )

    assert expected == read(text).codex


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{mcp: {a: {}}}",
            "{mcp: {a: }}",
            "{mcp: {a: {command: ''}}}",
            "{mcp: []}",
            "{model: ''}",
        ),
        *("{mcp: {a: {command: [x]}}}", "{mcp: {a: {command: x, args: y}}}", "{sync_logs: 1}"),
        *("{mcp: {a: {command: x, grant: X}}}", "{config: {a: ~}}", "{config: {a: 2024-01-01}}"),
        *("{config: []}", "{config: {1: x}}", "{config: {'': x}}", "{write_mcp_json: 'true'}"),
        *("{mcp: {a: {command: x, env: {K: 1}}}}", "{mcp: {a: {command: x, cwd: ''}}}"),
    ],
)
def test_what_codex_cannot_have_is_refused(text: str) -> None:
    """At its place."""
    assert refusal(f"codex: {text}").message.startswith("f:1:")


@pytest.mark.parametrize("char", ["\\e[2J", "\\u202e", "\\u0007", "\\x9b31m", "\\u2028"])
def test_what_a_file_says_cannot_steer_the_terminal(char: str) -> None:
    """Wherever it is quoted: keys, values, hints."""
    for text in (
        f'"a{char}": 1',
        f'name: "a{char}"',
        f'env: {{"a{char}": x}}',
        f'command: "a {char}"',
        f'network: {{rules: ["a{char}"]}}',
        f'mcp: [{{name: a, url: "https://a{char}"}}]',
        f'mcp: [{{name: a, url: "https://a.test{char}@b"}}]',
        f'mounts: ["a{char}"]',
        f'codex: {{config: {{"a": !!timestamp "a{char}"}}}}',
        f'agent: {{"a{char}": 1}}',
    ):
        error = refusal(text)
        assert (error.message + (error.hint or "")).isprintable()


def test_a_bomb_is_refused() -> None:
    """Ten lines that would become gigabytes, or a stack without end."""
    laughs = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 9))
    nested = "codex: {config: {a: " + "[" * 5000 + "]" * 5000 + "}}"

    assert "anchors (&a0) are not allowed" in refusal(laughs).message
    assert "nested deeper than" in refusal(nested).message


KEYS = st.sampled_from(
    [
        *("name", "agent", "dependencies", "grants", "env", "network", "mounts", "command", "mcp"),
        *("codex", "policy", "rules", "allow", "source", "target", "mode", "url", "auth", "grant"),
        *("host", "header", "args", "cwd", "sync_logs", "model", "config", "write_mcp_json", "x"),
    ]
)
SCALARS = st.sampled_from(
    [
        *("a", "codex", "strict", "permissive", "ro", "rw", "yes", "5", "~", "2024-01-01", '"\\0"'),
        *("'@npm'", "deny a.test", "allow GET /a", "deny * /**", "'*.test'", "ask"),
        *("'https://a.test'", "'http://a.test'", "a.test", "'a:/b'", "'a:/b:rw'", "mcp:x", "1.5"),
    ]
)
FLOW = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(KEYS, below, max_size=4).map(
            lambda table: "{" + ", ".join(f"{key}: {table[key]}" for key in table) + "}"
        )
    ),
    max_leaves=15,
)


def project_or_error(text: str) -> Project | ConfigError:
    try:
        return read(text)
    except ConfigError as error:
        return error


@settings(deadline=None)
@given(st.dictionaries(KEYS, FLOW, max_size=3))
def test_any_file_is_a_project_or_a_config_error(table: dict[str, str]) -> None:
    """Whatever is in moat.yaml, a person gets a sentence and not a traceback."""
    found = project_or_error("".join(f"{key}: {value}\n" for key, value in table.items()))

    if isinstance(found, ConfigError):
        assert found.message.startswith("f:")
        assert (found.message + (found.hint or "")).isprintable()
    else:
        assert isinstance(found, Project)
