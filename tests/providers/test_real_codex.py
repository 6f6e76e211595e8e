"""What Codex is given is what the real Codex takes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from demo.talk import in_loop
from demo.tunnel import TARGET, Tunnel
from providers.wanted import MUCH, SERVERS, set_up, staged
from standin import Say, StandIn
from support.cli import REAL_KEY


def codex_home(parent: Path, **wanted: Any) -> Path:
    """A CODEX_HOME with the staged files."""
    home = parent / "codex-home"
    home.mkdir(mode=0o700)
    for name, content in staged(workspace=str(parent), **wanted).items():
        (home / name).write_bytes(content)
        (home / name).chmod(0o600)
    return home


def environ(home: Path, **more: str) -> dict[str, str]:
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "CODEX_HOME": str(home)}
    return base | {"HTTPS_PROXY": "http://127.0.0.1:9"} | more


def ask(codex: Path, home: Path, *arguments: str) -> tuple[int, str]:
    """Run Codex with nowhere to go; its exit code and what it said."""
    done = subprocess.run(
        [codex, *arguments],
        cwd=home.parent,
        env=environ(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


# Codex reads its settings, then the schema, and asks nobody anything before it has both.
STRICT = ("exec", "--strict-config", "--skip-git-repo-check", "--output-schema", "/none", "hi")


@pytest.mark.parametrize("wanted", [{}, MUCH], ids=["little", "much"])
def test_it_accepts_the_settings(
    tmp_path: Path, codex_binary: Path, wanted: dict[str, Any]
) -> None:
    """Under --strict-config every setting must be known, and of the right kind."""
    code, said = ask(codex_binary, codex_home(tmp_path, **wanted), *STRICT)
    assert code != 0
    assert "config.toml" not in said
    assert "schema" in said


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("plugins = ", "pluginz = "),
        ('"on-request"', '"nevr"'),
        ('"workspace-write"', '"workspace"'),
        ('"all"', "7"),
        ("enabled", "on"),
        ("env_vars", "env_varz"),
        ("http_headers", "headers"),
        ('model = "', "model = 1 #"),
        ("trust_level", "trust"),
    ],
)
def test_it_would_say_if_it_did_not(
    tmp_path: Path, codex_binary: Path, good: str, bad: str
) -> None:
    """The twin: a misspelt name or value is refused by the same command, naming the file."""
    home = codex_home(tmp_path, **MUCH)
    file = home / "config.toml"
    assert good in file.read_text()
    file.write_text(file.read_text().replace(good, bad, 1))
    code, said = ask(codex_binary, home, *STRICT)
    assert code != 0
    assert "Error loading config.toml" in said


def test_it_knows_the_servers(tmp_path: Path, codex_binary: Path) -> None:
    """`codex mcp list` has each server as it was given, and none of its own."""
    home = codex_home(tmp_path, servers=SERVERS)
    done = subprocess.run(
        [codex_binary, "mcp", "list", "--json"],
        env=environ(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    listed = {server["name"]: server["transport"] for server in json.loads(done.stdout)}
    assert {*SERVERS.stdio, *(entry.server.name for entry in SERVERS.remote)} == set(listed)
    files, linear = listed["files"], listed["linear"]
    assert ("mcp-files", ["--root", "/workspace"], {"A": "1"}, "/workspace") == (
        files["command"],
        files["args"],
        files["env"],
        files["cwd"],
    )
    assert ["HTTPS_PROXY", "SSL_CERT_FILE"] == files["env_vars"]
    assert "https://mcp.linear.app/mcp" == linear["url"]
    assert {"Authorization": "Bearer moat-proxy-injected"} == linear["http_headers"]


def test_it_takes_itself_for_logged_in(tmp_path: Path, codex_binary: Path) -> None:
    """`codex login status` knows of a key, and of none without our file."""
    home = codex_home(tmp_path)
    assert 0o600 == stat.S_IMODE((home / "auth.json").stat().st_mode)
    code, said = ask(codex_binary, home, "login", "status")
    assert code == 0
    assert "API key" in said
    (home / "auth.json").unlink()
    code, said = ask(codex_binary, home, "login", "status")
    assert code != 0
    assert "Not logged in" in said


def said_in(home: Path) -> dict[str, list[str]]:
    """What the person said in each session there is, the last thing in each request."""
    sessions: dict[str, list[str]] = {}
    for file in sorted(home.glob("sessions/**/*.jsonl")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        entries = [line["payload"] for line in lines if line["type"] == "response_item"]
        sessions[file.stem[-36:]] = [
            entry["content"][0]["text"]
            for entry in entries
            if entry["type"] == "message"
            and entry["role"] == "user"
            and not entry["content"][0]["text"].startswith("<")
        ]
    return sessions


@pytest.mark.parametrize("opening", [None, "--opening"])
@pytest.mark.parametrize("resume", [None, "last", "01a203ea-62a0-7a93-9cd5-5694e5f56782"])
def test_it_understands_a_persons_command(
    tmp_path: Path, codex_binary: Path, opening: str | None, resume: str | None
) -> None:
    """With a person's words and an earlier session, nothing is missing but the terminal."""
    home = codex_home(tmp_path)
    command = set_up(prompt=None, opening=opening, resume=resume).command
    assert "stdin is not a terminal" in ask(codex_binary, home, *command[1:])[1]


@pytest.mark.parametrize("resume", [None, "last", "01a203ea-62a0-7a93-9cd5-5694e5f56782"])
def test_it_would_take_words_for_options(
    tmp_path: Path, codex_binary: Path, resume: str | None
) -> None:
    """The twin: without `--` before them, the same words are an option it does not have."""
    command = set_up(prompt=None, opening="--opening", resume=resume).command
    bare = [word for word in command[1:] if word != "--"]
    code, said = ask(codex_binary, codex_home(tmp_path), *bare)
    assert code == 2
    assert "unexpected argument '--opening'" in said


@pytest.mark.e2e
@in_loop
async def test_it_resumes_a_session_from_what_is_kept(tmp_path: Path, codex_binary: Path) -> None:
    """The commands are understood, and the kept directory alone is enough to go on from."""
    async with (
        StandIn(tmp_path / "made", key=REAL_KEY, script=(Say("It is done."),)) as standin,
        Tunnel(standin.port) as tunnel,
    ):
        proxy = {"HTTPS_PROXY": f"http://127.0.0.1:{tunnel.port}"}

        async def run(name: str, kept: Path | None, **wanted: Any) -> Path:
            (tmp_path / name).mkdir()
            home = codex_home(tmp_path / name)
            (home / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": REAL_KEY}))
            if kept is not None:
                (kept / "sessions").rename(home / "sessions")
            process = await asyncio.create_subprocess_exec(
                codex_binary,
                *set_up(**wanted).command[1:],
                cwd=tmp_path,
                env=environ(home, SSL_CERT_FILE=str(standin.ca_file), **proxy),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                _, stderr = await process.communicate()
            assert process.returncode == 0, stderr.decode()
            return home

        first = await run("first", None, prompt="--first")
        (session,) = said_in(first)
        second = await run("second", first, prompt="--second", resume="last")
        third = await run("third", second, prompt="--third", resume=session)
    assert {session: ["--first", "--second", "--third"]} == said_in(third)
    assert {TARGET} == set(tunnel.asked)
