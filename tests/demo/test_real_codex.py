"""The real Codex takes the stand-in for the real API: no box, no proxy of ours in between."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from demo.talk import KEY, in_loop
from demo.tunnel import TARGET, Tunnel
from standin import Say, Shell, StandIn

CONFIG = """\
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "danger-full-access"
[analytics]
enabled = false
[features]
api_key_model_discovery = false
plugins = false
daemon_auto_start = false
unbounded_connection_retries = false
"""

# Every kind of quote, a line break and a backslash have to come through.
COMMAND = "printf '%s|' \"a'b\" 'c\"d' \\\\ > made.txt\ncat made.txt"
SCRIPT = (Shell(COMMAND), Shell("echo second; exit 3"), Say("All three turns are done."))


async def run_codex(codex: Path, tmp_path: Path, *arguments: str, port: int, ca: Path) -> str:
    """Run one prompt and return what Codex wrote to stdout; a failed run fails the test."""
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    home.mkdir()
    workspace.mkdir()
    (home / "config.toml").write_text(CONFIG)
    auth = home / "auth.json"
    auth.touch(mode=0o600)
    auth.write_text(json.dumps({"OPENAI_API_KEY": KEY}))
    process = await asyncio.create_subprocess_exec(
        *(codex, "exec", "--skip-git-repo-check", "--json", *arguments, "do the work"),
        cwd=workspace,
        env={
            "HOME": str(home),
            "CODEX_HOME": str(home),
            "PATH": os.environ["PATH"],
            "HTTPS_PROXY": f"http://127.0.0.1:{port}",
            "SSL_CERT_FILE": str(ca),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(50):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, stderr.decode()
    return stdout.decode()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("websocket", "model", "expected"),
    [
        pytest.param(True, None, [("GET", 101)], id="default model, WebSocket"),
        pytest.param(False, None, [("GET", 426), *[("POST", 200)] * 3], id="default model, SSE"),
        pytest.param(True, "gpt-5.2", [("GET", 101)], id="classic model, WebSocket"),
        pytest.param(False, "gpt-5.2", [("GET", 426), *[("POST", 200)] * 3], id="classic, SSE"),
    ],
)
@in_loop
async def test_codex_plays_the_script(
    tmp_path: Path,
    codex_binary: Path,
    websocket: bool,
    model: str | None,
    expected: list[tuple[str, int]],
) -> None:
    async with (
        StandIn(tmp_path / "made", key=KEY, script=SCRIPT, websocket=websocket) as standin,
        Tunnel(standin.port) as tunnel,
    ):
        chosen = ["-m", model] if model else []
        stdout = await run_codex(
            codex_binary, tmp_path, *chosen, port=tunnel.port, ca=standin.ca_file
        )
    items = [event["item"] for event in map(json.loads, stdout.splitlines()) if "item" in event]
    assert items[-1]["text"] == "All three turns are done."
    ran = [item for item in items if item["type"] == "command_execution" and item["exit_code"]]
    assert [item["exit_code"] for item in ran] == [3]
    assert (tmp_path / "workspace/made.txt").read_text() == "a'b|c\"d|\\|"
    first, second = standin.tool_outputs
    assert "a'b|c" in first
    assert "second" in second
    assert expected == [(seen.method, seen.status) for seen in standin.seen]
    assert all(seen.authorized for seen in standin.seen)
    assert {TARGET} == set(tunnel.asked)
