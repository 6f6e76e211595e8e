"""What git keeps for itself is told from what lies there besides, by names."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.workspace import walk
from moat.workspace.walk import Clean, Walk

OBJECT, OTHER, HASH = "c" * 38, "d" * 38, "a" * 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a repository as git makes them."""
    put(
        tmp_path,
        *(".git/HEAD", f".git/objects/ab/{OBJECT}", f".git/objects/pack/pack-{HASH}.idx"),
        *(".git/objects/info/packs", ".git/objects/info/commit-graphs/commit-graph-chain"),
        *(".git/refs/heads/fix/x", ".git/logs/HEAD", ".git/logs/refs/heads/hooks/y"),
    )
    put(tmp_path, ".git/refs/heads/config", ".git/refs/heads/hooks/x", text=f"{HASH}\n")
    put(tmp_path, ".git/refs/remotes/origin/HEAD", text="ref: refs/remotes/origin/main\n")
    put(tmp_path, ".git/logs/config", text=f"{HASH} {HASH} a <b> 1 +0\tc\n" * 2)
    return tmp_path


def put(root: Path, *paths: str, text: str = "") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def told(root: Path, clean: Clean | None = None) -> set[str]:
    listings = Walk(root, {} if clean is None else clean, own=False)
    return {file.path for listing in listings for file in listing.files}


def test_what_git_makes(root: Path) -> None:
    """Whatever branches are called."""
    assert set() == told(root)


@pytest.mark.parametrize(
    "path",
    [
        "objects/ab/config", f"objects/ab/{OTHER}/config", f"objects/ab/{OTHER}/x/y", "objects/x",
        "objects/zz/x", "objects/pack/x.sh", "objects/pack/x/HEAD", "objects/info/x",
        "objects/info/commit-graphs/x/y", "objects/zz/refs/config", "refs/x/config",
        "refs/heads/x/hooks/a", "logs/x/config", "logs/hooks/x", "refs/git-rebase-todo",
    ],
)  # fmt: skip
@pytest.mark.parametrize("counts", [True, False])
def test_what_it_does_not(
    root: Path, path: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where directories do not say how many are in them, and where all was looked at."""
    if not counts:
        monkeypatch.setattr(walk, "_counts", lambda *_: False)
    monkeypatch.setattr(walk, "_UNSETTLED", -1_000_000_000)
    clean: Clean = {}
    assert set() == told(root, clean)
    assert bool(clean) == counts
    put(root, f".git/{path}", text="[core]\n\tfsmonitor = evil\n")
    assert {f".git/{path}"} == told(root, clean) == told(root)


def test_links_and_what_can_be_run(root: Path) -> None:
    """No branch is either."""
    hook = root / ".git/refs/heads/hooks/x"
    hook.chmod(0o755)
    (root / ".git/refs/heads/hooks/link").symlink_to("../../config")
    assert {".git/refs/heads/hooks/x", ".git/refs/heads/hooks/link"} == told(root)


def test_what_has_just_changed_is_looked_at_again(root: Path) -> None:
    """Its ctime may stay as it is for a moment."""
    clean: Clean = {}
    told(root, clean)
    assert {} == clean
