"""What Codex is given: a placeholder for a key, and settings it accepts."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from moat.core.hosts import Destination
from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER, PROVIDER
from moat.providers.codex.key import check_form
from moat.providers.interface import AgentSetup


def set_up(prompt: str | None = "do it", workspace: str = "/workspace") -> AgentSetup:
    return PROVIDER.set_up(prompt=prompt, workspace=workspace, arguments=())


def staged(workspace: str = "/workspace") -> dict[str, bytes]:
    (files,) = set_up(workspace=workspace).staged.values()
    assert {0o600} == {file.mode for file in files}
    return {file.name: file.content for file in files}


def test_a_task_is_executed_and_a_person_talked_to() -> None:
    """`codex exec` for a task, which is one argument whatever it begins with; `codex` without."""
    assert ("codex",) == set_up(None).command
    for task in ("do it", "--help", "-", ""):
        wanted = ("codex", "exec", "--skip-git-repo-check", "--", task)
        assert wanted == set_up(task).command


def test_codex_gets_its_tool_its_host_and_its_files() -> None:
    """One host, one tool, one folder of settings."""
    setup = set_up()
    assert ("codex-cli",) == setup.tools
    assert ["api.openai.com"] == [str(host) for host in setup.hosts]
    assert {"codex"} == set(setup.staged)
    assert {"auth.json", "config.toml"} == set(staged())


def test_the_placeholder_has_the_form_of_a_key() -> None:
    """Programs that look at a key before they use it are content, and it says what it is."""
    assert OPENAI_API_KEY_PLACEHOLDER == check_form(OPENAI_API_KEY_PLACEHOLDER)
    assert "placeholder" in OPENAI_API_KEY_PLACEHOLDER
    assert {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER} == PROVIDER.box_environment()


def test_auth_json_holds_the_placeholder_and_nothing_else() -> None:
    """Codex takes itself for logged in with an API key."""
    assert {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER} == json.loads(staged()["auth.json"])


def test_config_toml_says_what_a_box_needs() -> None:
    """No questions, no sandbox in the box, no other host, no cut-down environment."""
    text = staged()["config.toml"].decode()
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
    } == tomllib.loads(text)


def test_plain_settings_stand_before_tables() -> None:
    """A key after a table's head belongs to the table: TOML has no way back to the top."""
    lines = staged()["config.toml"].decode().splitlines()
    first_table = next(n for n, line in enumerate(lines) if line.startswith("["))
    assert 4 == sum("=" in line for line in lines[:first_table])


@pytest.mark.parametrize("path", ["/work space", '/a"b', "/a.b\\c", "/é", "/a]b\n[x]"])
def test_an_odd_workspace_is_one_key(path: str) -> None:
    """A path with quotes, dots or brackets does not become other settings."""
    settings = tomllib.loads(staged(path)["config.toml"].decode())
    assert {path: {"trust_level": "trusted"}} == settings["projects"]
    assert tomllib.loads(staged()["config.toml"].decode()).keys() == settings.keys()


def test_the_key_goes_to_the_api_as_a_bearer_token() -> None:
    """One injection, for https://api.openai.com alone; what the client sent instead is dropped."""
    (injection,) = PROVIDER.injections()
    assert ("openai", "Authorization", "Bearer {}") == (
        injection.grant,
        injection.header,
        injection.format,
    )
    assert {"Authorization", "X-Api-Key", "Api-Key", "Cookie", "Sec-WebSocket-Protocol"} == set(
        injection.strips
    )
    assert injection.applies_to(Destination.parse("https", "api.openai.com"))
    for scheme, authority in (
        ("http", "api.openai.com:443"),
        ("https", "api.openai.com:8443"),
        ("https", "openai.com"),
        ("https", "x.api.openai.com"),
        ("https", "api.openai.com.evil.example"),
    ):
        assert not injection.applies_to(Destination.parse(scheme, authority))  # type: ignore[arg-type]


# the real Codex


@pytest.fixture
def codex_home(tmp_path: Path) -> Path:
    """A CODEX_HOME with the staged files."""
    home = tmp_path / "codex-home"
    home.mkdir(mode=0o700)
    for name, content in staged(str(tmp_path)).items():
        (home / name).write_bytes(content)
        (home / name).chmod(0o600)
    return home


def ask(codex: Path, home: Path, *arguments: str) -> tuple[int, str]:
    """Run Codex with nowhere to go; its exit code and what it said."""
    done = subprocess.run(
        [codex, *arguments],
        cwd=home.parent,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "CODEX_HOME": str(home)}
        | {"HTTPS_PROXY": "http://127.0.0.1:9"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


# Codex reads its settings, then the schema, and asks nobody anything before it has both.
STRICT = ("exec", "--strict-config", "--skip-git-repo-check", "--output-schema", "/none", "hi")


def test_the_real_codex_accepts_the_settings(codex_binary: Path, codex_home: Path) -> None:
    """Under --strict-config every setting must be known, and of the right kind."""
    code, said = ask(codex_binary, codex_home, *STRICT)
    assert code != 0
    assert "config.toml" not in said
    assert "schema" in said


@pytest.mark.parametrize(
    ("good", "bad"),
    [("plugins = ", "pluginz = "), ('"never"', '"nevr"'), ('"all"', "7"), ("enabled", "on")],
)
def test_the_real_codex_would_say_if_it_did_not(
    codex_binary: Path, codex_home: Path, good: str, bad: str
) -> None:
    """The twin: a misspelt name or value is refused by the same command, naming the file."""
    file = codex_home / "config.toml"
    assert good in file.read_text()
    file.write_text(file.read_text().replace(good, bad, 1))
    code, said = ask(codex_binary, codex_home, *STRICT)
    assert code != 0
    assert "Error loading config.toml" in said


def test_the_real_codex_takes_itself_for_logged_in(codex_binary: Path, codex_home: Path) -> None:
    """`codex login status` knows of a key, and of none without our file."""
    assert 0o600 == stat.S_IMODE((codex_home / "auth.json").stat().st_mode)
    code, said = ask(codex_binary, codex_home, "login", "status")
    assert code == 0
    assert "API key" in said
    (codex_home / "auth.json").unlink()
    code, said = ask(codex_binary, codex_home, "login", "status")
    assert code != 0
    assert "Not logged in" in said
