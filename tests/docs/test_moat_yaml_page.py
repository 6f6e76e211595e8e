"""docs/reference/moat-yaml.md says what the schema says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
from moat.config.project_schema import PROJECT
from moat.config.schema import documented_keys
from moat.config.yaml import read_yaml
from moat.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs/reference/moat-yaml.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_key_has_its_heading_and_every_heading_its_key() -> None:
    """A key is documented under a heading of its own, in the order of the schema."""
    headings = re.findall(r"^##+ `([^`]+)`$", PAGE, flags=re.MULTILINE)

    assert list(documented_keys(PROJECT)) == headings


def test_the_example_is_read() -> None:
    """Whoever copies the example gets what it seems to say."""
    (example,) = blocks("yaml")

    expected = Project(
        name="shop",
        agent="codex",
        dependencies=("node@22", "git"),
        grants=("openai", "mcp:linear"),
        env={"NODE_ENV": "test", "PORT": "8080"},
        network=ProjectNetwork(
            "strict",
            (
                NetworkRule("packages.example.com"),
                NetworkRule("*.example.org"),
                NetworkRule("tracker.example.com", "deny"),
                NetworkRule(
                    "api.example.net", paths=("allow GET /repos/**", "allow POST /graphql")
                ),
            ),
        ),
        mounts=(
            ProjectMount("~/data/fixtures", "/data"),
            ProjectMount("../cache", "/cache", writable=True),
        ),
        limits=(
            ("wall", 7200),
            ("memory", 8 << 30),
            ("processes", 2000),
            ("cpus", 1.5),
            ("disk", 2 << 30),
            ("files", 4096),
        ),
        guard=(".vscode/tasks.json",),
        command=("npm", "test"),
        mcp=(
            RemoteServer(
                "linear", "https://mcp.linear.app/mcp", RemoteAuth("mcp:linear", "Authorization")
            ),
        ),
        codex=CodexProject(
            mcp={
                "memory": StdioServer(
                    "npx",
                    ("-y", "@modelcontextprotocol/server-memory"),
                    {"LOG_LEVEL": "debug"},
                    "openai",
                    "/workspace/tools",
                )
            },
            sync_logs=True,
            model="gpt-5-codex",
            config={"model_reasoning_effort": "high", "history": {"max_bytes": 65536}},
            write_mcp_json=False,
        ),
    )
    assert expected == PROJECT.read(read_yaml(example.encode(), name="moat.yaml"))


def test_the_example_uses_every_key() -> None:
    """So that nobody has to guess how one is written."""
    (example,) = blocks("yaml")
    written = set(re.findall(r"^ *(?:- )?([a-z_]+):", example, re.MULTILINE))

    assert {key.rpartition(".")[2] for key in documented_keys(PROJECT)} <= written


def test_the_error_shown_is_the_error_raised() -> None:
    """The page quotes Moat word for word."""
    node = read_yaml(b"grant: []\n", name="/home/you/shop/moat.yaml")

    with pytest.raises(ConfigError) as caught:
        PROJECT.read(node)

    (shown,) = blocks("text")
    assert shown == f"{caught.value.message}\nhint: {caught.value.hint}\n"
