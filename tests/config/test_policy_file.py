"""The file that `moat proxy --policy` names is read as what stands below `network`."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.config.network import NetworkRule
from moat.config.policy_file import load_policy_file
from moat.config.project import ProjectNetwork
from moat.errors import ConfigError, UnsafeFile


def written(directory: Path, text: str, mode: int = 0o600) -> Path:
    file = directory / "network.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_it_is_the_network_section_of_a_project(tmp_path: Path) -> None:
    """With the same forms of rules."""
    file = written(
        tmp_path,
        'policy: ask\nrules:\n  - "@npm"\n  - deny a.example\n'
        "  - host: b.example\n    rules: [allow GET /x/**]\n",
    )
    expected = (
        NetworkRule("@npm"),
        NetworkRule("a.example", "deny"),
        NetworkRule("b.example", paths=("allow GET /x/**",)),
    )
    assert ProjectNetwork("ask", expected) == load_policy_file(file)


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    """So what is not said has its default."""
    assert ProjectNetwork() == load_policy_file(written(tmp_path, "# later\n", 0o644))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network:\n  rules: []\n", ':1:1: unknown key "network"'),
        ("policy: open\n", ":1:9: expected strict or ask or permissive"),
        ("rules:\n  - http://a\n", ":2:5: "),
        ("rules: [a.example\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """As of every settings file."""
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_policy_file(file)
    assert caught.value.message.startswith(str(file))
    assert said in caught.value.message


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    """They would decide where credentials may go."""
    file = written(tmp_path, "policy: permissive\n", 0o664)
    with pytest.raises(UnsafeFile):
        load_policy_file(file)
    file.chmod(0o644)
    assert "permissive" == load_policy_file(file).policy


def test_what_is_no_file(tmp_path: Path) -> None:
    """Nothing, and a directory."""
    with pytest.raises(FileNotFoundError):
        load_policy_file(tmp_path / "absent")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy_file(tmp_path)
