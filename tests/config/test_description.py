"""The person reads everything a project asks for, and sees every change."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.description import describe, describe_change
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
from moat.core.redact import printable

LEFT = "reaches its agent's hosts and those named here; else your own network.policy holds"
STRICT = "reaches no host besides its agent's and those named here (strict)"
PERMISSIVE = "REACHES EVERY PUBLIC HOST, and can send there whatever it reads (permissive)"
FULL = Project(
    name="shop",
    agent="codex",
    dependencies=("node@22",),
    grants=("openai",),
    env={"A": "b c"},
    network=ProjectNetwork(
        "permissive",
        (
            NetworkRule("evil.test", "deny"),
            NetworkRule("a.test"),
            NetworkRule("localhost:8080"),
            NetworkRule("10.0.0.1:5432", paths=("allow GET /a", "deny * /**")),
            NetworkRule("b.test", paths=("allow * /**",)),
            NetworkRule("@npm"),
        ),
    ),
    mounts=(ProjectMount("~/data", "/data"), ProjectMount("../c d", "/c", writable=True)),
    limits=(("memory", 4 << 30), ("wall", None)),
    guard=(".git/hooks",),
    command=("npm", "run", "a b"),
    mcp=(
        RemoteServer("docs", "http://[::1]:8080/mcp"),
        RemoteServer("linear", "https://mcp.linear.app/mcp", RemoteAuth("mcp:linear", "X-Key")),
    ),
    codex=CodexProject(
        mcp={
            "memory": StdioServer("npx", ("-y", "mem"), {"K": "v"}, "mcp:mem", "tools"),
            "bare": StdioServer("bare"),
        },
        sync_logs=False,
        model="gpt",
        config={"a": {"b": 1, "c.d": {"e": ["x", True]}}, "f": {}},
        write_mcp_json=True,
    ),
)


def test_a_project_that_asks_for_nothing_reaches_nothing() -> None:
    """The default is said as well."""
    assert (LEFT,) == describe(Project())
    assert (STRICT,) == describe(Project(network=ProjectNetwork("strict")))
    asking = "asks you about every host that is not named here (ask)"
    assert (asking,) == describe(Project(network=ProjectNetwork("ask")))


def test_everything_asked_for_is_said() -> None:
    """The most far-reaching first, and what reaches inwards or changes the host loudly."""
    local = " (ON YOUR MACHINE OR YOUR NETWORK)"

    assert (
        PERMISSIVE,
        "never reaches evil.test",
        "reaches a.test",
        "reaches localhost:8080" + local,
        "reaches 10.0.0.1:5432 for what the first of these allows" + local,
        '  "allow GET /a"',
        '  "deny * /**"',
        "reaches b.test for what the first of these allows",
        '  "allow * /**"',
        "reaches @npm (the hosts of that group on this machine)",
        "mounts ~/data as /data, read-only",
        'mounts "../c d" as /c, AND CAN CHANGE IT',
        "CAN CHANGE .git/hooks in the workspace, which programs of this machine obey",
        "uses the credential openai",
        f"uses the MCP server docs at http://[::1]:8080/mcp{local}, without a credential",
        "uses the MCP server linear at https://mcp.linear.app/mcp, "
        "with the credential mcp:linear in the header X-Key",
        "runs the MCP server memory in the box: npx -y mem",
        "  in tools",
        "  logged in with the credential mcp:mem",
        '  with K set to "v"',
        "runs the MCP server bare in the box: bare",
        "runs the agent codex",
        'runs the command npm run "a b"',
        "calls its runs shop",
        "limits memory to 4 GiB",
        "has NO LIMIT on time",
        "installs node@22",
        'sets A to "b c"',
        "has Codex use the model gpt",
        "sets a.b to 1 in Codex's settings",
        'sets a."c.d".e to ["x", true] in Codex\'s settings',
        "sets f to {} in Codex's settings",
        "does not keep Codex's sessions",
        "writes its MCP servers to .mcp.json in the workspace",
    ) == describe(FULL)


CHANGES = [
    *(replace(Project(), **{each.name: getattr(FULL, each.name)}) for each in fields(Project)),
    *(
        Project(codex=replace(CodexProject(), **{each.name: getattr(FULL.codex, each.name)}))
        for each in fields(CodexProject)
    ),
]


@pytest.mark.parametrize("changed", CHANGES)
def test_no_key_goes_unsaid(changed: Project) -> None:
    """A key added to Project and forgotten here would be agreed to unseen."""
    assert describe(changed) != describe(Project())


def test_a_first_project_is_all_new() -> None:
    """There is nothing to compare it with."""
    assert tuple(f"+ {line}" for line in describe(FULL)) == describe_change(None, FULL)


def test_no_change_is_no_change() -> None:
    """Nor is another order of what has none."""
    turned = replace(FULL, grants=FULL.grants[::-1], mounts=FULL.mounts[::-1])

    assert tuple(f"  {line}" for line in describe(FULL)) == describe_change(FULL, FULL)
    assert all(line.startswith("  ") for line in describe_change(FULL, turned))


def test_a_change_shows_what_is_new_and_what_is_gone() -> None:
    """Next to each other, in the order of the description."""
    before = Project(
        network=ProjectNetwork("strict", (NetworkRule("a.test"), NetworkRule("b.test"))),
        mounts=(ProjectMount("a", "/a"),),
    )
    after = Project(
        network=ProjectNetwork("permissive", (NetworkRule("a.test"),)),
        mounts=(ProjectMount("a", "/a", writable=True),),
    )

    assert (
        f"- {STRICT}",
        "- reaches b.test",
        f"+ {PERMISSIVE}",
        "  reaches a.test",
        "- mounts a as /a, read-only",
        "+ mounts a as /a, AND CAN CHANGE IT",
    ) == describe_change(before, after)


def test_what_belongs_together_changes_together() -> None:
    """Two servers with one line alike are still two; the new one is shown whole."""
    server = StdioServer("npx", ("a",), grant="x")
    before = Project(codex=CodexProject(mcp={"a": server}))
    after = Project(codex=CodexProject(mcp={"a": server, "b": replace(server, args=("b",))}))

    assert (
        f"  {LEFT}",
        "  runs the MCP server a in the box: npx a",
        "    logged in with the credential x",
        "+ runs the MCP server b in the box: npx b",
        "+   logged in with the credential x",
    ) == describe_change(before, after)


@pytest.mark.attack
@pytest.mark.parametrize("evil", ["\x1b[2K", "\n", "\u202e", "\r", "\x9b1A", "a\nreaches b.test"])
def test_no_value_forges_a_line_or_steers_the_terminal(evil: str) -> None:
    """Every text of a project, printed as it comes."""
    text = f"x{evil}y"
    project = Project(
        name=text,
        agent=text,
        dependencies=(text,),
        grants=(text,),
        env={text: text},
        mounts=(ProjectMount(text, text),),
        command=(text, text),
        mcp=(RemoteServer(text, "https://a.test/" + text, RemoteAuth(text, text)),),
        codex=CodexProject(
            mcp={text: StdioServer(text, (text,), {text: text}, text, text)},
            model=text,
            config={text: {text: [text]}},
        ),
    )

    lines = (*describe(project), *describe_change(project, Project(env={text: text})))

    assert [] == [line for line in lines if not line.isprintable()]
    clean = replace(project, name="x", agent="x", command=("x",))
    assert len(describe(clean)) == len(describe(project))


@pytest.mark.attack
def test_a_long_value_is_shown_to_its_end() -> None:
    """Whoever prints a line may cut a long one, and nothing of a command may be cut off."""
    project = Project(command=("sh", "-c", "true " + "x" * 10_000 + "; evil"))

    lines = describe(project)

    assert lines[-1].endswith('; evil"')
    assert "".join(line.strip() for line in lines[1:]).count("x") == 10_000
    assert all(printable(line) == line for line in lines)


@given(st.text(), st.text())
def test_any_change_of_a_value_is_seen(one: str, other: str) -> None:
    """However alike the two are on a screen."""
    lines = describe_change(Project(env={"A": one}), Project(env={"A": other}))

    assert (one != other) == any(line.startswith("+ ") for line in lines)
    assert (one != other) == any(line.startswith("- ") for line in lines)
