"""The pages hold: links lead somewhere, commands and options are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from moat.cli.main import all_commands

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMANDS = all_commands()
COMMANDS_PAGE = (ROOT / "docs/reference/commands.md").read_text()


def _help(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "moat.cli.main", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file, and a heading of it where it names one."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert heading in {title.lower().replace(" ", "-") for title in titles}, target


def test_every_command_has_its_section() -> None:
    """The page has the commands of the code, in its order."""
    assert list(COMMANDS) == re.findall(r"^## moat (\w+)$", COMMANDS_PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_those_of_the_code(command: str) -> None:
    """A section names every option of its command, and no other."""
    section = re.search(rf"^## moat {command}$(.*?)(?=^## |\Z)", COMMANDS_PAGE, re.M | re.S)
    assert section is not None
    pattern = r"(?<![\w-])--[a-z][a-z-]+"
    helps = [_help(command)]
    if command == "grant":  # each credential has options of its own
        helps += [_help(command, name) for name in ("openai", "mcp:linear", "header:mine")]
    offered = set(re.findall(pattern, "".join(helps)))
    assert offered == set(re.findall(pattern, section[1])) | {"--help"}


def test_pages_name_existing_commands() -> None:
    """Whatever a page tells people to type exists."""
    for page in PAGES:
        for word in re.findall(r"^(?:\$ )?moat ([a-z]+)", page.read_text(), re.MULTILINE):
            assert word in COMMANDS, f"{page.name}: moat {word}"


def test_the_readme_names_the_test_command_ci_runs() -> None:
    """CI runs what a person is told to run."""
    assert "make lint test" in (ROOT / ".ci/run").read_text()
    assert "```\nmake lint test\n```" in (ROOT / "README.md").read_text()
