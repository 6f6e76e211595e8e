"""The Codex CLI in a box: its command line, its settings, its login that is none."""

from __future__ import annotations

import json
from typing import Any

import tomli_w

from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER
from moat.providers.interface import StagedFile


def codex_command(prompt: str | None, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """`codex exec PROMPT` for a task, `codex` for a person at a terminal.

    How far Codex may go is settled in config.toml and not here: its options change.
    """
    if prompt is None:
        return ("codex", *arguments)
    return ("codex", "exec", *arguments, "--skip-git-repo-check", "--", prompt)


def auth_json() -> bytes:
    """`auth.json` with the placeholder: Codex takes itself for logged in."""
    return json.dumps({"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}, indent=2).encode() + b"\n"


def config_toml(workspace: str) -> bytes:
    """`config.toml`: no questions at the start, no host but the API, no sandbox in the box."""
    settings: dict[str, Any] = {
        "check_for_update_on_startup": False,
        "approval_policy": "never",
        # The box is the sandbox. A second one inside would cut tools off from the proxy.
        "sandbox_mode": "danger-full-access",
        "cli_auth_credentials_store": "file",
        "analytics": {"enabled": False},
        "features": {
            "api_key_model_discovery": False,  # asks chatgpt.com
            "plugins": False,  # asks GitHub
            "daemon_auto_start": False,  # would outlive the terminal and copy itself
            "unbounded_connection_retries": False,  # would wait for a dead network for ever
        },
        # Without it, what Codex starts would lose the proxy and the CA.
        "shell_environment_policy": {"inherit": "all"},
        "projects": {workspace: {"trust_level": "trusted"}},
    }
    return b"# Written by Moat for this run.\n" + tomli_w.dumps(settings).encode()


def staged_files(workspace: str) -> tuple[StagedFile, ...]:
    """What becomes ~/.codex in the box."""
    return (
        StagedFile("auth.json", auth_json()),
        StagedFile("config.toml", config_toml(workspace)),
    )
