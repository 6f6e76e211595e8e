"""What a project depends on is there, or the run is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.errors import UsageError
from moat.run import dependencies
from moat.run.dependencies import meet
from moat.tools.catalogue import CODEX_CLI


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose programs are these."""
    for name, says in (
        ("node", "v22.1.0"),
        ("go", "go version go1.25.3"),
        ("python3", "Python 3.12.1"),
    ):
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\necho '{says}'\n")
        file.chmod(0o755)
    monkeypatch.setattr(dependencies, "SYSTEM_PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.parametrize(
    "text", ["node", "node@22", "node@22.1", "node@22.1.0", "python@3.12", "go@1.25", "sh"]
)
def test_a_program_that_is_there_will_do(programs: Path, text: str) -> None:
    """In the version that is wanted, as far as it is said."""
    meet(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("node@2", "is 22.1.0"),
        ("node@22.2", "is 22.1.0"),
        ("python@3.11", "is 3.12.1"),
        ("no-such-program", "there is no program no-such-program"),
        ("npm:typescript@5", "packages of npm are not installed"),
        ("codex-cli@0.1", f"installs codex-cli {CODEX_CLI.version}"),
    ],
)
def test_what_is_not_there_is_told(programs: Path, text: str, reason: str) -> None:
    """With what could be done about it."""
    with pytest.raises(UsageError, match=reason) as caught:
        meet(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["codex-cli", f"codex-cli@{CODEX_CLI.version}", "codex-cli@0"])
def test_a_tool_of_moats_is_there_in_one_version(text: str) -> None:
    """The one that Moat installs."""
    meet(text)


def test_only_known_programs_are_asked(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others would do is not known; and these are asked in a directory that is nobody's."""
    (programs / "mvn").write_text("#!/bin/sh\ntouch ran; echo 3.9\n")
    (programs / "mvn").chmod(0o755)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    (programs / "node").write_text(
        f"#!/bin/sh\npwd > {programs}/where; env > {programs}/env; echo v22.1.0\n"
    )
    meet("mvn")
    with pytest.raises(UsageError, match="version of mvn cannot be looked at"):
        meet("mvn@3")
    meet("node@22")
    assert "/\n" == (programs / "where").read_text()
    assert "sk-real" not in (programs / "env").read_text()
