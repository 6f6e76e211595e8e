"""What has changed in a workspace is found by looking at it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from moat.workspace import changes, walk
from moat.workspace.changes import Before, Changes, begin, changes_since, together


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a few files, all older than the run."""
    root = tmp_path / "work"
    (root / "a/b").mkdir(parents=True)
    (root / ".git/hooks").mkdir(parents=True)
    (root / ".git/objects").mkdir()
    for name in ("one", "a/two", "a/b/three", ".git/config", ".git/index"):
        (root / name).write_text(name)
    time.sleep(0.02)  # the clock of files has steps of some milliseconds
    return root


def watched(root: Path) -> Before:
    before = begin(root)
    before.complete()
    return before


def test_nothing(root: Path) -> None:
    """Reading is no change."""
    before = watched(root)
    (root / "one").read_text()
    assert Changes() == changes_since(before)


def test_added_changed_removed(root: Path) -> None:
    """Also by renaming, and by attributes alone."""
    before = watched(root)
    (root / "new").write_text("")
    (root / "a/two").write_text("other")
    (root / "one").unlink()
    (root / "a/b/three").rename(root / "a/b/four")
    found = changes_since(before)
    assert ("new",) == tuple(path for path in found.added if path != "a/b/four")
    assert ("a/two",) == tuple(path for path in found.changed if path != "a/b/four")
    assert ("a/b/three", "one") == found.removed
    assert "a/b/four" in found.added + found.changed
    assert found.complete


def test_times_that_are_set_hide_nothing(root: Path) -> None:
    """A box can set when a file was written, and not when it was changed."""
    before = watched(root)
    old = (root / "one").stat()
    (root / "one").write_text("ONE")
    os.utime(root / "one", ns=(old.st_atime_ns, old.st_mtime_ns))
    (root / "new").write_text("")
    os.utime(root / "new", (0, 0))
    found = changes_since(before)
    assert (("new",), ("one",)) == (found.added, found.changed)


def test_a_file_that_takes_the_place_of_another(root: Path, tmp_path: Path) -> None:
    """Even one that is older than the run."""
    (tmp_path / "old").write_text("x")
    before = watched(root)
    (tmp_path / "old").rename(root / "one")
    assert ("one",) == changes_since(before).changed


def test_what_changes_while_it_is_listed_is_found(root: Path) -> None:
    """The list is made while the run goes on."""
    before = begin(root)
    (root / "new").write_text("")
    (root / "one").write_text("")
    before.complete()
    found = changes_since(before)
    assert {"new", "one"} <= {*found.added, *found.changed}


def test_a_clock_that_was_set_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files changed since then seem older than the run."""
    before = watched(root)
    before.started += 3600 * 10**9
    before._offset += 3600 * 10**9
    (root / "one").write_text("")
    assert "one" in changes_since(before).changed


def test_what_git_keeps_is_left_out_but_for_what_is_obeyed(root: Path) -> None:
    """Each with why."""
    before = watched(root)
    for name in (".git/index", ".git/objects/x", ".git/config", ".git/hooks/pre-commit"):
        (root / name).write_text("")
    found = changes_since(before)
    assert (".git/hooks/pre-commit",) == found.added
    assert (".git/config",) == found.changed
    assert [".git/config", ".git/hooks/pre-commit"] == [one.path for one in found.executed]
    assert all(one.why.startswith("git ") and not one.asked for one in found.executed)


def test_repositories_that_were_made(root: Path) -> None:
    """With or without a .git."""
    before = watched(root)
    (root / "sub/.git").mkdir(parents=True)
    (root / "sub/.git/config").write_text("")
    for name in ("objects", "refs"):
        (root / "bare" / name).mkdir(parents=True)
    for name in ("HEAD", "config"):
        (root / "bare" / name).write_text("")
    told = [one.path for one in changes_since(before).executed]
    assert ["bare/HEAD", "bare/config", "sub/.git/config"] == told


def test_no_link_is_followed(root: Path, tmp_path: Path) -> None:
    """It is a file itself; what it leads to is not the workspace's."""
    (tmp_path / "other").mkdir()
    before = watched(root)
    (root / "link").symlink_to(tmp_path / "other")
    (tmp_path / "other/new").write_text("")
    assert ("link",) == changes_since(before).added


def test_what_is_ignored(root: Path) -> None:
    """Stand-ins are Moat's own."""
    before = begin(root, ignored=lambda _: {"x"})
    before.complete()
    (root / "x").write_text("")
    assert Changes() == changes_since(before)


def test_a_workspace_that_is_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said, and nothing is taken for removed that was only not looked at."""
    before = watched(root)
    monkeypatch.setattr(walk, "MOST_ENTRIES", 3)
    found = changes_since(before)
    assert not found.complete
    assert () == found.removed


def test_a_workspace_that_is_gone(root: Path) -> None:
    """Everything is removed."""
    before = watched(root)
    shutil.rmtree(root)
    assert 4 == len(changes_since(before).removed)


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")


def told(before: Before) -> list[str]:
    return [one.path for one in changes_since(before).executed]


def test_a_repository_whose_settings_are_elsewhere(root: Path) -> None:
    """By commondir; git takes both directories' settings."""
    before = watched(root)
    put(root, "docs/HEAD", "docs/config.worktree", "x/config")
    (root / "docs/commondir").write_text("../x\n")
    (root / "x/objects").mkdir()
    (root / "x/refs/heads").mkdir(parents=True)
    expected = ["docs/HEAD", "docs/commondir", "docs/config.worktree", "x/config"]
    assert expected == told(before)


def test_hooks_of_a_repository_without_settings(root: Path) -> None:
    """Git needs none."""
    before = watched(root)
    put(root, "bare/HEAD", "bare/hooks/post-commit", "bare/hooks/update.sample")
    for name in ("objects", "refs"):
        (root / "bare" / name).mkdir()
    assert ["bare/HEAD", "bare/hooks/post-commit"] == told(before)


def test_what_only_shares_a_name_with_settings(root: Path) -> None:
    """Twin: nothing would take these for a repository."""
    before = watched(root)
    put(root, "app/config", "app/HEAD", "app/hooks/x", "info/attributes")
    assert [] == told(before)


@pytest.mark.parametrize("link", ["sub/.git/hooks", "sub/.git/modules", "sub/.git/modules/lib"])
def test_a_link_for_a_directory_of_gits(root: Path, link: str) -> None:
    """It is told of, with what is behind it."""
    before = watched(root)
    put(root, "sub/.git/HEAD", "s/post-commit")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(os.path.relpath(root / "s", (root / link).parent))
    assert ["s/post-commit", link] == told(before)


def test_a_link_that_was_there_before(root: Path) -> None:
    """What it leads to is obeyed under another name."""
    put(root, "sub/envrc")
    (root / "sub/.envrc").symlink_to("envrc")
    time.sleep(0.02)
    before = watched(root)
    (root / "sub/envrc").write_text("touch x")
    assert ["sub/envrc"] == told(before)


def test_what_the_settings_of_a_new_repository_lead_to(root: Path) -> None:
    """Hooks, further settings, and programs."""
    before = watched(root)
    put(root, "sub/tools/post-commit", "monitor.sh", "unrelated")
    (root / "sub/.git").mkdir()
    (root / "sub/.git/config").write_text(
        "[core]\nhooksPath=tools\nworktree=../..\n[include]\npath=../more\n"
    )
    (root / "sub/more").write_text("[core]\nfsmonitor=./monitor.sh\n")
    expected = ["monitor.sh", "sub/.git/config", "sub/more", "sub/tools/post-commit"]
    assert expected == told(before)


@pytest.mark.parametrize("name", ["refs", "logs", "objects"])
def test_a_submodule_that_is_called_as_what_git_keeps(root: Path, name: str) -> None:
    """Its hooks run as any."""
    put(root, f".git/modules/{name}/HEAD", ".git/modules/a/HEAD", ".git/HEAD")
    before = watched(root)
    put(root, f".git/modules/{name}/hooks/post-commit", f".git/modules/a/{name}/x/config")
    assert [f".git/modules/{name}/hooks/post-commit"] == told(before)


def test_what_runs_without_being_asked_for_comes_first(root: Path) -> None:
    """Whatever the others are called."""
    before = watched(root)
    put(root, ".a/Makefile", "z/.envrc", "z/Makefile")
    assert ["z/.envrc", ".a/Makefile", "z/Makefile"] == told(before)


def test_a_directory_that_is_renamed(root: Path) -> None:
    """What is in it is no younger for that, and has names that were not there."""
    put(root, "h/post-checkout", "h/deep/x", "v/tasks.json")
    time.sleep(0.02)
    before = watched(root)
    (root / "s/.git").mkdir(parents=True)
    (root / "h").rename(root / "s/.git/hooks")
    (root / "v").rename(root / "s/.vscode")
    found = changes_since(before)
    hooks = ("s/.git/hooks/deep/x", "s/.git/hooks/post-checkout")
    assert (*hooks, "s/.vscode/tasks.json") == found.added
    assert ("h/deep/x", "h/post-checkout", "v/tasks.json") == found.removed
    assert found.added == tuple(one.path for one in found.executed)


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_directory_that_is_renamed_before_it_is_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, all_of_it: bool
) -> None:
    """What is obeyed in it is told of, though nobody can say that it was elsewhere; also where not
    all is looked at."""
    put(root, "v/a/tasks.json", "v/a/plain", "w/plain")
    time.sleep(0.02)
    monkeypatch.setattr(changes, "_AT_ONCE", -1)
    before = begin(root)
    (root / "v/a").rename(root / "v/.vscode")
    if all_of_it:
        before.complete()
    assert all_of_it == before.listed
    found = changes_since(before)
    assert ["v/.vscode/tasks.json"] == [one.path for one in found.executed]
    assert ((), ()) == (found.added, found.changed)


def test_what_is_there_is_taken_down_at_once(root: Path) -> None:
    """Before a run can do anything: what it moves then is new where it is."""
    put(root, "v/a/tasks.json")
    time.sleep(0.02)
    before = begin(root)
    (root / "v/a").rename(root / "v/.vscode")
    before.complete()
    assert ("v/.vscode/tasks.json",) == changes_since(before).added


def test_a_link_on_the_way_to_what_is_obeyed(root: Path) -> None:
    """It may lead elsewhere from now on, to something that is old."""
    put(root, "good/rc", "bad/rc")
    (root / "current").symlink_to("good")
    (root / "a/.envrc").symlink_to("../current/rc")
    time.sleep(0.02)
    before = watched(root)
    (root / "current").unlink()
    (root / "current").symlink_to("bad")
    assert ["current"] == told(before)


def test_what_is_ignored_is_that_at_the_end(root: Path) -> None:
    """What has taken its place is not."""
    put(root, ".envrc")
    ignored = {".envrc"}
    before = begin(root, ignored=lambda _: ignored)
    before.complete()
    ignored.clear()
    assert (".envrc",) == changes_since(before).added


def test_a_repositorys_own_directory(root: Path) -> None:
    """What is obeyed in there, whatever it is called."""
    store = root / "store"
    put(store, "HEAD", "objects/x", "refs/heads/main", "config")
    time.sleep(0.02)
    before = begin(store, own=True)
    before.complete()
    put(store, "HEAD", "objects/y", "refs/heads/other", "index", "worktrees/w/commondir")
    put(store, "modules/sub/hooks/update", "info/attributes", "hooks/update.sample")
    (store / "modules/link").symlink_to("../objects")
    found = together(Changes(added=("new",)), [(store, changes_since(before))])
    paths = ("info/attributes", "modules/link", "modules/sub/hooks/update", "worktrees/w/commondir")
    assert found.added == ("new", *(str(store / path) for path in paths))
    assert {str(store / path) for path in paths} == {one.path for one in found.executed}
    assert found.complete
