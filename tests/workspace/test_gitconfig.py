"""Git's settings are read as git reads them, and what they lead to is found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from moat.workspace.gitconfig import Reference, references, settings_of

TEXTS = [
    "[core]\n\tbare = false\n",
    "[CORE] HooksPath = a\n",
    '[core]\nhooksPath = "a b" # not this\n',
    "[core]\nhooksPath = a b ; not this\n",
    '[core]\nhooksPath = a"#b"c\n',
    "[core]\nhooksPath = a\\\nb\n",
    "[core]\nhooksPath = a\\\\b\n",
    '[remote "Or.igin \\"x\\""]\n\turl = x\n',
    "[core]\n\tbare\n[user]name=x\n",
    "# comment\n; another\n[core] ; here\n\teditor = vi\n",
    "[a.b]\nc = d\n",
    "[core]\r\n\thooksPath = x\r\n",
    '[core]\nhooksPath = " x "\n',
    "[core]\n\thooksPath =\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_read_as_git_reads_it(text: str, tmp_path: Path) -> None:
    """Git is the judge."""
    file = tmp_path / "config"
    file.write_text(text, newline="")
    said = subprocess.run(
        ["git", "config", "--file", str(file), "--null", "--list"], capture_output=True, check=True
    ).stdout.decode()
    expected = []
    for entry in said.split("\0")[:-1]:
        name, newline, value = entry.partition("\n")
        expected.append((name, value if newline else "true"))
    assert expected == list(settings_of(text))


def led(text: str) -> list[Reference]:
    return list(references(settings_of(text)))


def test_what_settings_lead_to() -> None:
    """Hooks, further settings, and every word of a command that may be a file."""
    assert [Reference("hooks", ".githooks")] == led("[core]\nhooksPath=.githooks")
    assert [Reference("include", "../x")] == led("[include]\npath=../x")
    assert [Reference("include", "y")] == led('[includeIf "gitdir:~/"]\npath=y')
    assert [Reference("command", word) for word in ("python", "tools/clean.py", "%f")] == led(
        '[filter "x"]\nclean = python tools/clean.py %f'
    )
    assert Reference("command", "./m.sh") in led("[core]\nfsmonitor = ./m.sh")
    assert Reference("command", "./a.sh") in led("[alias]\nx = !./a.sh")


def test_what_leads_nowhere() -> None:
    """Whether git watches files itself is no path."""
    assert [] == led("[core]\nfsmonitor = true\nbare = false\n[user]\nname = ./x")


@pytest.mark.parametrize(
    "text", ["[", "]", "[core", '[core "x', "=", '"', "\\", "[a]\n\\", "[a]b=\\"]
)
def test_what_is_no_file_of_settings_is_read_to_its_end(text: str) -> None:
    """Whatever it says, reading it ends."""
    list(settings_of(text * 3))


@pytest.mark.parametrize(
    "name",
    ["core.alternaterefscommand", "gpg.ssh.defaultkeycommand", "guitool.x.cmd", "tar.tgz.command"],
)
def test_commands_of_all_kinds(name: str) -> None:
    """Whatever part of git runs them."""
    assert [Reference("command", "tools/x")] == [*references(iter([(name, "tools/x")]))]
