"""What outlives a run is kept for its workspace alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.run.kept import Kept, ensure_kept, has_sessions, kept_directories, workspace_key


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


def test_what_a_box_did_to_its_mode_is_undone(tmp_path: Path) -> None:
    """Or one agent could keep its workspace from ever being run in again, or open it to others."""
    kept = Kept(tmp_path / "sessions" / "p-1", ".codex/sessions")
    ensure_kept(kept)
    for mode in (0o755, 0o000, 0o777):
        kept.source.chmod(mode)
        ensure_kept(kept)
        assert 0o700 == kept.source.stat().st_mode & 0o777


def test_a_kept_directory_is_no_link(tmp_path: Path) -> None:
    """Whoever put it there."""
    (tmp_path / "sessions").mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "sessions" / "p-1").symlink_to("../elsewhere")
    with pytest.raises(MoatError, match="symbolic link"):
        ensure_kept(Kept(tmp_path / "sessions" / "p-1", ".codex/sessions"))


def test_whether_anything_is_kept_is_seen_of_any_tree(tmp_path: Path) -> None:
    """A hostile one too: deep, wide, full of links."""
    kept = Kept(tmp_path / "p-1", ".codex/sessions")
    assert not has_sessions([kept])
    ensure_kept(kept)
    (kept.source / "2026" / "01").mkdir(parents=True)
    assert not has_sessions([kept])
    (kept.source / "2026" / "01" / "rollout").touch()
    assert has_sessions([kept])
    (kept.source / "2026" / "01" / "rollout").unlink()
    place = os.open(kept.source, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    has_sessions([kept])
    subprocess.run(["rm", "-rf", kept.source], check=True, timeout=60)
