"""What the tests want of Codex, and servers it could be given."""

from __future__ import annotations

import tomllib
from typing import Any

from moat.config.project import RemoteAuth, RemoteServer, StdioServer
from moat.providers.agent import AgentServer, AgentServers, AgentSetup, AgentWanted
from moat.providers.codex import PROVIDER

WORKSPACE = "/workspace"

SERVERS = AgentServers(
    stdio={
        "files": StdioServer("mcp-files", ("--root", "/workspace"), {"A": "1"}, None, "/workspace"),
        "bare": StdioServer("mcp-bare"),
    },
    remote=(
        AgentServer(
            RemoteServer("linear", "https://mcp.linear.app/mcp", RemoteAuth("mcp:linear")),
            {"Authorization": "Bearer moat-proxy-injected"},
        ),
        AgentServer(RemoteServer("open", "https://mcp.example.com/")),
    ),
    pass_on=("HTTPS_PROXY", "SSL_CERT_FILE"),
)

# All that can be wanted at once.
MUCH: dict[str, Any] = {
    "model": "gpt-5.2",
    "yolo": False,
    "servers": SERVERS,
    "config": {
        "model_reasoning_effort": "high",
        "history": {"persistence": "none"},
        "tui": {"notifications": ["agent-turn-complete"]},
        "features": {"goals": False},
        "sandbox_workspace_write": {"network_access": True},
    },
}


def set_up(**wanted: Any) -> AgentSetup:
    """The setup of one run; a task if nothing is said."""
    return PROVIDER.set_up(AgentWanted(**{"workspace": WORKSPACE, "prompt": "do it", **wanted}))


def staged(**wanted: Any) -> dict[str, bytes]:
    """The staged files of one run, by name."""
    (files,) = set_up(**wanted).staged.values()
    assert {0o600} == {file.mode for file in files}
    return {file.name: file.content for file in files}


def settings(**wanted: Any) -> dict[str, Any]:
    """config.toml of one run, as it is read."""
    return tomllib.loads(staged(**wanted)["config.toml"].decode())
