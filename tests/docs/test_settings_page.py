"""docs/reference/settings.md says what the schema says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moat.config.network import NetworkRule
from moat.config.nodes import MapNode
from moat.config.schema import documented_keys
from moat.config.settings import Network, Settings, TerminalSettings, Upstream
from moat.config.settings_schema import SETTINGS
from moat.config.yaml import read_yaml
from moat.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_key_has_its_heading_and_every_heading_its_key() -> None:
    """A key is documented under a heading of its own, in the order of the schema."""
    headings = re.findall(r"^##+ `([^`]+)`$", PAGE, flags=re.MULTILINE)

    assert headings == list(documented_keys(SETTINGS))


def test_the_example_is_accepted_and_uses_every_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies the example gets settings, given the file it names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    roots = tmp_path / "certificates/company-roots.pem"
    roots.parent.mkdir()
    roots.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    roots.chmod(0o644)
    (example,) = blocks("yaml")

    node = read_yaml(example.encode(), name="config.yaml")

    expected = Settings(
        Upstream(roots, ((("api.openai.com", 443), ("127.0.0.1", 8443)),)),
        Network(
            ("example.com", "*.example.org", "localhost:8080", "@npm"),
            "ask",
            (
                NetworkRule("tracker.example.com", "deny"),
                NetworkRule(
                    "api.github.com",
                    paths=("deny * /repos/*/*/hooks/**", "allow * /repos/my-org/**"),
                ),
            ),
            (("go", ("goproxy.example.com",)),),
            60,
        ),
        limits=(
            ("wall", 7200),
            ("memory", 8 << 30),
            ("processes", 2000),
            ("cpus", 1.5),
            ("disk", 2 << 30),
            ("files", 4096),
        ),
        guard=(".vscode/tasks.json",),
        terminal=TerminalSettings("ctrl-] d"),
    )
    assert expected == SETTINGS.read(node)
    assert isinstance(node, MapNode)
    assert set(SETTINGS.fields) == {key.text for key, _ in node.entries}


def test_the_error_shown_is_the_error_raised() -> None:
    """The page quotes Moat word for word."""
    node = read_yaml(b"upsteam: {}\n", name="/home/you/.moat/config.yaml")

    with pytest.raises(ConfigError) as caught:
        SETTINGS.read(node)

    (shown,) = blocks("text")
    assert shown == f"{caught.value.message}\nhint: {caught.value.hint}\n"
