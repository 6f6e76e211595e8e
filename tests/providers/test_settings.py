"""config.toml: what Moat settles, what the project adds, and that the two do not meet."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from moat.errors import ConfigError
from providers.wanted import MUCH, SERVERS, settings, staged


def test_config_toml_says_what_a_box_needs() -> None:
    """No questions, no sandbox in the box, no other host, no cut-down environment."""
    assert {
        "check_for_update_on_startup": False,
        "approval_policy": "never",
        "sandbox_mode": "danger-full-access",
        "cli_auth_credentials_store": "file",
        "analytics": {"enabled": False},
        "features": {
            "api_key_model_discovery": False,
            "plugins": False,
            "daemon_auto_start": False,
            "unbounded_connection_retries": False,
        },
        "shell_environment_policy": {"inherit": "all"},
        "projects": {"/workspace": {"trust_level": "trusted"}},
    } == settings()


def test_codex_may_be_kept_on_a_leash() -> None:
    """Without yolo Codex asks, and has a sandbox of its own; nothing else differs."""
    leashed = {"approval_policy": "on-request", "sandbox_mode": "workspace-write"}
    assert settings() | leashed == settings(yolo=False)


def test_a_model_is_named() -> None:
    """The one that is wanted, and none of ours if none is."""
    assert settings() | {"model": "gpt-5.2"} == settings(model="gpt-5.2")


def test_servers_are_handed_over() -> None:
    """Those Codex starts with what passes on the way out, the others with their headers."""
    assert {
        "files": {
            "command": "mcp-files",
            "args": ["--root", "/workspace"],
            "env": {"A": "1"},
            "cwd": "/workspace",
            "env_vars": ["HTTPS_PROXY", "SSL_CERT_FILE"],
        },
        "bare": {"command": "mcp-bare", "env_vars": ["HTTPS_PROXY", "SSL_CERT_FILE"]},
        "linear": {
            "url": "https://mcp.linear.app/mcp",
            "http_headers": {"Authorization": "Bearer moat-proxy-injected"},
        },
        "open": {"url": "https://mcp.example.com/"},
    } == settings(servers=SERVERS)["mcp_servers"]


@pytest.mark.parametrize("wanted", [{}, MUCH], ids=["little", "much"])
def test_plain_settings_stand_before_tables(wanted: dict[str, Any]) -> None:
    """A key after a table's head belongs to the table: TOML has no way back to the top."""
    lines = staged(**wanted)["config.toml"].decode().splitlines()
    first_table = next(n for n, line in enumerate(lines) if line.startswith("["))
    plain = [name for name, value in settings(**wanted).items() if not isinstance(value, dict)]
    assert plain == [line.partition(" ")[0] for line in lines[:first_table] if "=" in line]


@pytest.mark.parametrize("path", ["/work space", '/a"b', "/a.b\\c", "/é", "/a]b\n[x]"])
def test_an_odd_workspace_is_one_key(path: str) -> None:
    """A path with quotes, dots or brackets does not become other settings."""
    assert {path: {"trust_level": "trusted"}} == settings(workspace=path)["projects"]
    assert settings().keys() == settings(workspace=path).keys()


# the project's own keys


def test_own_keys_join_ours() -> None:
    """Other keys, and other keys of the same tables, stand beside what Moat settles."""
    when = datetime.date(2026, 1, 1)
    own = {
        "model_reasoning_effort": "high",
        "history": {"persistence": "none", "max_bytes": 7},
        "features": {"goals": False},
        "analytics": {"other": 1.5},
        "x": [{"y": when}, {"y": when}],
    }
    ours = settings()
    assert {
        **ours,
        **own,
        "features": {**ours["features"], "goals": False},
        "analytics": {"enabled": False, "other": 1.5},
    } == settings(config=own)


@pytest.mark.parametrize(
    ("own", "key", "instead"),
    [
        ({"approval_policy": "never"}, "approval_policy", "moat codex --noyolo"),
        ({"sandbox_mode": "danger-full-access"}, "sandbox_mode", "moat codex --noyolo"),
        ({"model": "gpt-5.2"}, "model", "codex.model"),
        ({"mcp_servers": {}}, "mcp_servers", "codex.mcp"),
        ({"projects": {"/": {"trust_level": "trusted"}}}, "projects", "Moat sets it"),
        ({"profile": "x"}, "profile", "the keys themselves"),
        ({"profiles": {"x": {"approval_policy": "never"}}}, "profiles", "the keys themselves"),
        ({"shell_environment_policy": {"set": {}}}, "shell_environment_policy", "use env"),
        ({"cli_auth_credentials_store": "auto"}, "cli_auth_credentials_store", "Moat sets it"),
        ({"forced_login_method": "chatgpt"}, "forced_login_method", "Moat sets it"),
        ({"check_for_update_on_startup": True}, "check_for_update_on_startup", "Moat sets it"),
        ({"analytics": {"enabled": True}}, "analytics.enabled", "Moat sets it"),
        ({"features": {"plugins": True}}, "features.plugins", "Moat sets it"),
        ({"features": {"daemon_auto_start": True}}, "features.daemon_auto_start", "Moat sets it"),
        (
            {"features": {"api_key_model_discovery": True}},
            "features.api_key_model_discovery",
            "Moat sets it",
        ),
        (
            {"features": {"unbounded_connection_retries": True}},
            "features.unbounded_connection_retries",
            "Moat sets it",
        ),
    ],
)
def test_what_moat_settles_is_not_the_projects(own: dict[str, Any], key: str, instead: str) -> None:
    """The key is named, and what to do instead; also where the value would be the same."""
    with pytest.raises(ConfigError) as caught:
        settings(config=own)
    assert f"codex.config: {key} is settled by Moat" == caught.value.message
    assert instead in str(caught.value.hint)


def test_every_key_of_ours_is_settled() -> None:
    """No key that Moat writes can be written by a project, at whatever depth it stands."""
    for name, value in settings(**MUCH | {"config": {}}).items():
        inner = value if name in ("features", "analytics") else {None: None}
        for key in inner:
            own = {name: {key: 1}} if key else {name: 1}
            with pytest.raises(ConfigError, match="settled by Moat"):
                settings(config=own)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"features": True}, "features must be a mapping"),
        ({"analytics": []}, "analytics must be a mapping"),
        ({"features.plugins": True}, "features.plugins has a dot in it"),
        ({"history": {"max_bytes": None}}, "history.max_bytes has no value"),
        ({"a": {"b": [1, 2**63]}}, "a.b is a number of more than 64 bits"),
        ({"a": b"x"}, "a is a bytes"),
        ({"a": {"b": {1}}}, "a.b is a set"),
        ({"a": "\ud800"}, "holds what is no text"),
        ({"\udc80": 1}, "holds what is no text"),
        ({"a": {1: 2}}, "a.1 is a key that is no text"),
    ],
)
def test_what_toml_cannot_hold_is_refused(own: dict[str, Any], said: str) -> None:
    """A value is refused by its name before Codex would meet half a file."""
    with pytest.raises(ConfigError) as caught:
        settings(config=own)
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "own",
    [
        {"features": {}},
        {"analytics": {}},
        {"model_providers": {"a.b": {"name": "x"}}},
        {"a": {"b": [1, 2**63 - 1, -(2**63)]}},
        {"a": True, "b": 0, "c": "", "d": [], "e": "é\n'\"\\", "f": ()},
    ],
)
def test_what_toml_can_hold_comes_through(own: dict[str, Any]) -> None:
    """The twin: what is like these and can be written is read again as it was."""
    read = settings(config=own)
    for name, value in own.items():
        expected = list(value) if isinstance(value, tuple) else value
        assert read[name] == expected or expected == {}
