"""MCP servers: what they get of a grant, and a file in a place where an agent writes too."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from moat.config.project import CodexProject, Project, RemoteAuth, RemoteServer, StdioServer
from moat.errors import ConfigError, MoatError
from moat.providers.agent import AgentServer, AgentServers
from moat.providers.codex import (
    OPENAI_API_KEY_PLACEHOLDER,
    MCPConfig,
    MCPServer,
    generate_mcp_config,
    write_mcp_config,
)
from moat.providers.mcp_servers import agent_servers
from moat.providers.placeholder import placeholder_of

REMOTE = RemoteServer("linear", "https://mcp.linear.app/mcp", RemoteAuth("mcp:linear"))
GRANTS: dict[str, Mapping[str, str]] = {"openai": {"OPENAI_API_KEY": "sk-x"}, "mcp:linear": {}}


def project(*remote: RemoteServer, **servers: StdioServer) -> Project:
    return Project(mcp=remote, codex=CodexProject(mcp=servers))


# .mcp.json


def generated(*grants: str, **servers: StdioServer) -> dict[str, object]:
    content = generate_mcp_config(project(**servers), grants)
    assert content is not None
    document = json.loads(content)
    assert {"mcpServers"} == set(document)
    servers_read: dict[str, object] = document["mcpServers"]
    return servers_read


def test_no_servers_make_no_file() -> None:
    """None, whatever is granted: a remote server has no place in the file."""
    assert generate_mcp_config(Project(), ()) is None
    assert generate_mcp_config(project(REMOTE), ("openai", "mcp:linear")) is None


def test_the_file_is_as_programs_read_it() -> None:
    """Indented by two, in the order of the project, without what is empty."""
    full = MCPServer("run", ("a", "b"), {"X": "é"}, "/workspace")
    config = MCPConfig({"full": full, "bare": MCPServer("run")})
    assert (
        b'{\n  "mcpServers": {\n'
        b'    "full": {\n      "command": "run",\n      "args": [\n        "a",\n        "b"\n'
        b'      ],\n      "env": {\n        "X": "\\u00e9"\n      },\n      "cwd": "/workspace"\n'
        b'    },\n    "bare": {\n      "command": "run"\n    }\n  }\n}\n'
    ) == config.to_json()


@pytest.mark.parametrize(
    ("grant", "env"),
    [
        ("github", {"GITHUB_TOKEN": "moat-proxy-injected"}),
        ("openai", {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}),
        ("anthropic", {"ANTHROPIC_API_KEY": "moat-proxy-injected"}),
    ],
)
def test_a_server_finds_a_placeholder(grant: str, env: dict[str, str]) -> None:
    """In the variable its clients read, in the place of what the project put there."""
    (variable,) = env
    server = StdioServer("run", env={"X": "1", variable: "the project's"}, grant=grant)
    assert {"s": {"command": "run", "env": {"X": "1", **env}}} == generated(grant, s=server)


def test_a_grant_without_a_variable_adds_none() -> None:
    """It has to be there, and that is all."""
    server = StdioServer("run", grant="gemini")
    assert {"s": {"command": "run"}} == generated("gemini", "openai", s=server)


def test_the_project_keeps_its_values() -> None:
    """What is generated is a copy: the project's own value is not changed."""
    env = {"GITHUB_TOKEN": "mine"}
    generated("github", s=StdioServer("run", env=env, grant="github"))
    assert {"GITHUB_TOKEN": "mine"} == env


@pytest.mark.parametrize("grants", [(), ("openai",), ("git", "hub")])
def test_a_server_whose_grant_is_missing_is_refused(grants: tuple[str, ...]) -> None:
    """Before the run: the server would start and fail in its own words."""
    with pytest.raises(ConfigError) as caught:
        generate_mcp_config(project(s=StdioServer("run", grant="github")), grants)
    assert 'MCP server "s" requires grant "github" but it was not provided' == caught.value.message
    assert "add github to grants" in str(caught.value.hint)


# the servers of a run


def test_the_agent_gets_the_servers() -> None:
    """Those it starts with their placeholders, the others with headers, and what to pass on."""
    with_grant = StdioServer("run", ("a",), {"X": "1", "OPENAI_API_KEY": "mine"}, "openai", "/x")
    without = StdioServer("run", env={"OPENAI_API_KEY": "mine"})
    plain = RemoteServer("plain", "https://mcp.example.com/")
    keyed = RemoteServer("keyed", "https://x.example/", RemoteAuth("openai", "X-Api-Key"))
    lower = RemoteServer("lower", "https://y.example/", RemoteAuth("openai", "authorization"))
    placed = StdioServer("run", ("a",), {"X": "1", "OPENAI_API_KEY": "sk-x"}, "openai", "/x")
    assert AgentServers(
        {"a": placed, "b": without},
        (
            AgentServer(REMOTE, {"Authorization": f"Bearer {placeholder_of('mcp:linear')}"}),
            AgentServer(plain, {}),
            AgentServer(keyed, {"X-Api-Key": placeholder_of("openai")}),
            AgentServer(lower, {"authorization": f"Bearer {placeholder_of('openai')}"}),
        ),
        ("HTTPS_PROXY",),
    ) == agent_servers(
        project(REMOTE, plain, keyed, lower, a=with_grant, b=without),
        grants=GRANTS,
        pass_on=("HTTPS_PROXY",),
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (project(s=StdioServer("run", grant="github")), '"s" requires grant "github" but'),
        (project(REMOTE), '"linear" requires grant "mcp:linear" but it was not provided'),
        (project(REMOTE, linear=StdioServer("run")), 'two MCP servers have the name "linear"'),
        (project(RemoteServer("a", "x"), RemoteServer("a", "y")), "two MCP servers have the name"),
    ],
)
def test_servers_that_cannot_be_are_refused(wanted: Project, message: str) -> None:
    """A grant that is not there, or two servers of one name, of which one would win unseen."""
    with pytest.raises(ConfigError) as caught:
        agent_servers(wanted, grants={"openai": {}}, pass_on=())
    assert message in caught.value.message
    assert caught.value.hint


# writing the file


def test_the_file_is_written(tmp_path: Path) -> None:
    """Whole, readable by all, in the place of an older one, and nothing else is left."""
    before = os.umask(0o077)
    try:
        for content in (b"one", b"another"):
            write_mcp_config(tmp_path, content)
            assert content == (tmp_path / ".mcp.json").read_bytes()
    finally:
        os.umask(before)
    assert 0o644 == stat.S_IMODE((tmp_path / ".mcp.json").stat().st_mode)
    assert [tmp_path / ".mcp.json"] == list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [None, b""])
def test_nothing_to_write_touches_nothing(tmp_path: Path, data: bytes | None) -> None:
    """An old file stays, and a workspace that is not there is not looked for."""
    (tmp_path / ".mcp.json").write_text("old")
    write_mcp_config(tmp_path, data)
    write_mcp_config(tmp_path / "none", data)
    assert "old" == (tmp_path / ".mcp.json").read_text()


@pytest.mark.attack
@pytest.mark.parametrize("planted", ["link", "hard link", "dangling", "fifo", "link to directory"])
def test_what_an_agent_planted_is_replaced(tmp_path: Path, planted: str) -> None:
    """No link is followed, no FIFO waited for: what was there is gone, what it named is not."""
    outside, workspace = tmp_path / "outside", tmp_path / "workspace"
    outside.mkdir()
    workspace.mkdir()
    victim, file = outside / "victim", workspace / ".mcp.json"
    victim.write_text("mine")
    match planted:
        case "link":
            file.symlink_to(victim)
        case "hard link":
            os.link(victim, file)
        case "dangling":
            file.symlink_to(outside / "new")
        case "fifo":
            os.mkfifo(file)
        case "link to directory":
            file.symlink_to(outside)
    write_mcp_config(workspace, b"{}")
    assert b"{}" == file.read_bytes()
    assert stat.S_ISREG(file.lstat().st_mode)
    assert [victim] == list(outside.iterdir())
    assert "mine" == victim.read_text()
    assert [file] == list(workspace.iterdir())


@pytest.mark.parametrize("full", [True, False])
def test_a_directory_is_not_replaced(tmp_path: Path, full: bool) -> None:
    """A file cannot take its place; it is named, it stays, and nothing is left beside it."""
    file = tmp_path / ".mcp.json"
    file.mkdir()
    if full:
        (file / "x").touch()
    with pytest.raises(MoatError, match=r"\.mcp\.json is a directory") as caught:
        write_mcp_config(tmp_path, b"{}")
    assert f"move it away: mv {file} {file}.old" == caught.value.hint
    assert [file] == list(tmp_path.iterdir())


def test_a_workspace_that_is_none_is_told(tmp_path: Path) -> None:
    """Missing, or no directory: it is named."""
    (tmp_path / "file").touch()
    for name, told in (("none", "none is not what it was"), ("file", "file/.+ cannot be written")):
        with pytest.raises(MoatError, match=told):
            write_mcp_config(tmp_path / name, b"{}")
