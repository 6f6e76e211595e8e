"""What outlives a run is kept for its workspace alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moat.run.kept import Kept, kept_directories, workspace_key


def test_each_workspace_has_its_own() -> None:
    """Two that are called the same are two; the same path is the same."""
    keys = {workspace_key(Path(path)) for path in ("/a/project", "/b/project", "/a-project")}
    assert 3 == len(keys)
    assert workspace_key(Path("/a/project")) == workspace_key(Path("/a/project"))


@pytest.mark.parametrize(
    "name", ["project", "..", "-", "a b", "ä", "x" * 300, "\x1b[2J", "a\nb", "\udcff", "."]
)
def test_a_key_is_a_plain_name(name: str) -> None:
    """Whatever a directory is called."""
    assert re.fullmatch(
        r"[A-Za-z0-9_][A-Za-z0-9._-]{0,60}-[0-9a-f]{16}", workspace_key(Path("/s") / name)
    )


def test_kept_directories_are_below_moats() -> None:
    """Named after what is kept, then after the workspace."""
    workspace, home = Path("/src/project"), Path("/m")
    assert (Kept(home / "codex/sessions" / workspace_key(workspace), ".codex/sessions"),) == (
        kept_directories({".codex/sessions": "codex/sessions"}, workspace=workspace, moat_home=home)
    )
