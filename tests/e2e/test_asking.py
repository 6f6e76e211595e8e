"""The real Codex at a terminal, and Moat's question over it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from standin import Say, Shell
from support.cli import REAL_KEY, Cli
from support.processes import wait_until
from support.standin import RunningStandIn
from support.tmux import Tmux
from support.users import link_tree

pytestmark = pytest.mark.e2e

CURL = "curl -s -o /dev/null -w '%{http_code}' https://registry.example.com"
STATUS = "GPT-6.1-Sol default · /workspace"
READY = ("\u203a Ask Codex to do anything", STATUS)


def refuse_until(terminal: Tmux, texts: tuple[str, ...]) -> list[str]:
    """Refuse whatever Codex wants for itself (news, updates) until these are on the screen."""
    end = time.monotonic() + 90
    while True:
        screen = terminal.screen()
        if all(any(text in row for row in screen) for text in texts):
            return screen
        assert time.monotonic() < end, "\n".join(screen)
        if any("then Enter:" in row for row in screen):
            terminal.type("d")
            terminal.press("Enter")
        time.sleep(0.2)


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="needs curl in /usr")
def test_codex_is_left_as_it_was(cli: Cli, tool_home: Path, tmp_path: Path) -> None:
    """What it was typing into stays; its own hosts need no question; its screen is whole again."""
    subprocess.run(["git", "init", "-q"], cwd=cli.workspace, check=True, timeout=30)
    script = (Shell(f"{CURL} > code.txt"), Say("I have asked the registry."))
    link_tree(tool_home / "tools", cli.home / "tools", ignore=shutil.ignore_patterns(".work"))
    with (
        RunningStandIn(tmp_path / "api", key=REAL_KEY, script=script) as api,
        Tmux(
            (100, 30),
            cwd=cli.workspace,
            environ=cli.environ(),
            recording=tmp_path / "recording",
        ) as terminal,
    ):
        cli.point_at(api)
        cli.grant()
        untouched = terminal.flags()
        terminal.type(shlex.join(cli.command("codex", "--policy", "ask")) + "; echo ended")
        terminal.press("Enter")
        refuse_until(terminal, READY)
        terminal.type("ask the registry")
        terminal.wait_for("ask the registry")
        terminal.press("Enter")

        screen = refuse_until(terminal, ("    https://registry.example.com", "then Enter:"))
        assert not any("Codex" in row or STATUS in row for row in screen)
        terminal.type("d")
        terminal.press("Enter")

        screen = terminal.wait_for("I have asked the registry.", READY[0], STATUS)
        assert not any("moat: run" in row or "then Enter:" in row for row in screen)
        assert any(STATUS in row for row in screen[-3:])
        assert "403" == (cli.workspace / "code.txt").read_text()

        terminal.type("/quit")
        terminal.wait_for("exit Codex")
        terminal.press("Enter")
        terminal.wait_for("ended")
        wait_until(lambda: untouched == terminal.flags(), what="the terminal is as it was")
