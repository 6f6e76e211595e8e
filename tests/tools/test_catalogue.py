import base64
import re
from pathlib import Path

import pytest

from moat.errors import ToolError, UsageError
from moat.tools.catalogue import CODEX_CLI, get_tool

SOURCE = Path(__file__).parents[2] / "src"


def test_a_tool_is_found_by_its_name():
    assert get_tool("codex-cli") is CODEX_CLI


def test_an_unknown_tool_is_a_usage_error_that_names_the_known_ones():
    with pytest.raises(UsageError, match="no tool named 'emacs'") as caught:
        get_tool("emacs")
    assert caught.value.hint == "tools: codex-cli"


@pytest.mark.parametrize(
    ("machine", "suffix"), [("x86_64", "linux-x64"), ("aarch64", "linux-arm64")]
)
def test_codex_has_a_package_for_each_architecture(machine, suffix):
    package = CODEX_CLI.package_for(machine)
    assert f"@openai/codex@{CODEX_CLI.version}-{suffix}" == package.spec
    assert f"package/vendor/{machine}-unknown-linux-musl" == package.root


def test_an_architecture_without_a_package_is_refused():
    with pytest.raises(ToolError, match="riscv64") as caught:
        CODEX_CLI.package_for("riscv64")
    assert "x86_64, aarch64" in caught.value.hint


def test_every_package_is_pinned_by_a_whole_sha512():
    for package in CODEX_CLI.packages:
        algorithm, _, digest = package.integrity.partition("-")
        assert algorithm == "sha512"
        assert len(base64.b64decode(digest, validate=True)) == 64
    assert len({package.integrity for package in CODEX_CLI.packages}) == 2


def test_folders_for_path_are_folders_of_the_tool():
    assert set(CODEX_CLI.path) <= {name.partition("/")[0] for name in CODEX_CLI.files}


def test_the_version_of_codex_is_written_once():
    """A new version is a change in one place, and no other file disagrees."""
    pattern = re.compile(re.escape(CODEX_CLI.version))
    found = [p.name for p in SOURCE.rglob("*.py") for _ in pattern.findall(p.read_text())]
    assert found == ["catalogue.py"]
