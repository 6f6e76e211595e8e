"""What has changed in a workspace is found by looking at it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from moat.workspace import before as before_module
from moat.workspace import walk
from moat.workspace.before import Before, begin
from moat.workspace.changes import Changes, changes_since, together

OBJECT = "ab/" + "c" * 38

# Nothing is closed to root; the attacks on the same are tried as somebody else as well.
needs_rights = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a few files, all older than the run."""
    root = tmp_path / "work"
    (root / "a/b").mkdir(parents=True)
    (root / ".git/hooks").mkdir(parents=True)
    (root / ".git/objects/ab").mkdir(parents=True)
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
    for name in (".git/index", f".git/objects/{OBJECT}", ".git/config", ".git/hooks/pre-commit"):
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


@pytest.mark.parametrize("kept", ["refs/x/config", "logs/x/config", f"objects/{OBJECT}"])
def test_a_submodule_that_is_called_as_what_git_keeps(root: Path, kept: str) -> None:
    """Its hooks run as any."""
    name = kept.partition("/")[0]
    put(root, f".git/modules/{name}/HEAD", ".git/modules/a/HEAD", ".git/HEAD")
    before = watched(root)
    put(root, f".git/modules/{name}/hooks/post-commit", f".git/modules/a/{kept}")
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
    monkeypatch.setattr(before_module, "_AT_ONCE", -1)
    before = begin(root)
    (root / "v/a").rename(root / "v/.vscode")
    if all_of_it:
        before.complete()
    assert all_of_it == (not before.unlisted)
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
    put(store, "HEAD", f"objects/{OBJECT[:-1]}d", "refs/heads/main", "config")
    time.sleep(0.02)
    before = begin(store, own=True)
    before.complete()
    put(store, "HEAD", f"objects/{OBJECT}", "refs/heads/other", "index", "worktrees/w/commondir")
    put(store, "modules/sub/hooks/update", "info/attributes", "hooks/update.sample")
    (store / "modules/link").symlink_to("../objects")
    found = together(Changes(added=("new",)), [(store, changes_since(before))])
    paths = ("info/attributes", "modules/link", "modules/sub/hooks/update", "worktrees/w/commondir")
    assert found.added == ("new", *(str(store / path) for path in paths))
    assert {str(store / path) for path in paths} == {one.path for one in found.executed}
    assert found.complete


def swap(one: Path, other: Path) -> None:
    """Exchange two directories."""
    away = one.with_name("away")
    one.rename(away)
    other.rename(one)
    away.rename(other)


def listed_late(root: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Before:
    """What was taken down before the run could do anything is what is right in the root."""
    monkeypatch.setattr(before_module, "_AT_ONCE", -1)
    return begin(root, **more)


@pytest.mark.parametrize("at", ["pkg/.husky", "pkg/.husky/_", "pkg"])
def test_a_directory_above_that_is_exchanged_while_it_is_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """At whatever moment: what is below it is as old as before."""
    put(root, "pkg/.husky/_/pre-commit", "stash/_/pre-commit", "other/.husky/_/pre-commit")
    place = root / at
    (root / "other/.husky/_/pre-commit").write_text("evil")
    (root / "stash/_/pre-commit").write_text("evil")
    time.sleep(0.02)
    before = listed_late(root, monkeypatch)
    evil = {"pkg": "other", "pkg/.husky": "stash", "pkg/.husky/_": "stash/_"}[at]
    scandir = os.scandir

    def racing(path: Any) -> Any:
        if Path(path) == place:
            monkeypatch.setattr(os, "scandir", scandir)
            swap(place, root / evil)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", racing)
    before.complete()
    assert "evil" == (root / "pkg/.husky/_/pre-commit").read_text()
    assert "pkg/.husky/_/pre-commit" in told(before)


def test_work_while_it_is_listed_moves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that come and go in a directory do not make what is beside them another."""
    put(root, "p/q/.vscode/settings.json", "p/q/.git/config", "p/q/.git/HEAD", "p/q/one")
    time.sleep(0.02)
    before = listed_late(root, monkeypatch)
    for name in (".git/index.lock", "p/q/.git/index.lock", "p/q/.vscode/x", "new"):
        (root / name).write_text("")
        (root / name).unlink()
    before.complete()
    assert Changes() == changes_since(before)


def test_what_no_run_can_move_was_not_moved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where something changes beside it, and above."""
    put(root, "p/q/.git/config", "p/q/.git/HEAD")
    time.sleep(0.02)
    held = {at: (root / at).stat().st_ino for at in ("p", "p/q", "p/q/.git")}
    before = listed_late(root, monkeypatch, held=held)
    for name in ("p/q/new", "p/q/.git/index.lock"):
        (root / name).write_text("")
        (root / name).unlink()
    before.complete()
    assert Changes() == changes_since(before)


@needs_rights
def test_what_is_moved_beside_a_closed_directory(root: Path) -> None:
    """Of that nobody knows, of the rest they do."""
    put(root, "closed/x", "d/x.py", "d/.envrc")
    (root / "closed").chmod(0)
    time.sleep(0.02)
    before = watched(root)
    (root / "d").rename(root / "e")
    found = changes_since(before)
    assert (("closed",), False) == (found.closed, found.complete)
    assert (("e/.envrc", "e/x.py"), ("d/.envrc", "d/x.py")) == (found.added, found.removed)
    assert ["e/.envrc"] == [one.path for one in found.executed]


def test_what_was_not_all_taken_down(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new elsewhere is told as such, and what was there all the time is not."""
    put(root, "z/a", "z/b", "z/c", "z/.envrc", "z/d/.vscode/tasks.json")
    time.sleep(0.02)
    with monkeypatch.context() as few:
        few.setattr(walk, "MOST_ENTRIES", 9)
        before = watched(root)
    assert {"z"} <= before.unlisted
    put(root, "a/new")
    found = changes_since(before)
    assert (("a/new",), (), (), ()) == found[:4]
    assert not found.complete


def test_a_socket_without_rights_is_a_change(root: Path) -> None:
    """Unless it is known to be Moat's own."""
    put(root, "a/.gitattributes")
    time.sleep(0.02)
    before = begin(root, ignored=lambda _: {"ours"})
    before.complete()
    for name in ("a/.gitattributes", "ours", "new"):
        (root / name).unlink(missing_ok=True)
        os.mknod(root / name, stat.S_IFSOCK)
    found = changes_since(before)
    assert {"a/.gitattributes", "new"} == {*found.added, *found.changed}
    assert ["a/.gitattributes"] == [one.path for one in found.executed]


def test_a_directory_that_is_too_deep_for_a_path(root: Path) -> None:
    """It can be entered step by step, and cannot be looked at; so it is named."""
    name = "d" * 200
    at = os.open(root, os.O_RDONLY)
    for _ in range(22):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open(".envrc", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    found = changes_since(watched(root))
    assert not found.complete
    (deep,) = found.closed
    assert {name} == set(deep.split("/"))
    assert walk.is_too_deep(root / deep)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_file_that_is_a_mount_of_its_own(root: Path, tmp_path: Path) -> None:
    """It has another inode than its directory says."""
    (tmp_path / "elsewhere").write_text("x")
    time.sleep(0.02)
    script = (
        f"mount --bind {tmp_path}/elsewhere {root}/one; exec {sys.executable} -c '"
        "import sys; from pathlib import Path; from moat.workspace import before, changes;"
        "before = before.begin(Path(sys.argv[1])); before.complete();"
        f"print(changes.changes_since(before) == changes.Changes())' {root}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script], capture_output=True, text=True, check=False
    )
    assert (0, "True\n") == (done.returncode, done.stdout), done.stderr
