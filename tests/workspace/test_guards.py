"""What is guarded of a workspace, decided by looking at it."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from moat.runtimes.interface import Guard
from moat.workspace import guards, inside, repositories
from moat.workspace.guards import Guarding, guard_workspace
from moat.workspace.known import Known, add_known, read_known


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with nothing in it."""
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "-q")
    return root


def git(where: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=where, check=True, capture_output=True)


def guarded(root: Path, *allowed: str) -> Guarding:
    home = root.parent / "home"
    return guard_workspace(root, allowed=allowed, environ={"HOME": str(home)})


def closed(found: Guarding) -> set[str]:
    return {guard.path for guard in found.guards if not guard.writable}


def made(found: Guarding) -> dict[str, str]:
    return {one.path: one.kind for one in found.stand_ins}


def test_what_git_obeys_and_what_editors_obey(root: Path) -> None:
    """Existing or not."""
    found = guarded(root)
    assert {".git/config", ".git/hooks", ".git/commondir", ".git/config.worktree"} < closed(found)
    assert {"moat.yaml", ".envrc", ".vscode", ".mcp.json"} < closed(found)
    assert Guard(".git", writable=True) in found.guards
    assert "socket" == made(found)[".envrc"]
    assert "itself" == made(found)[".git/commondir"]
    assert "file" == made(found)[".git/config.worktree"]
    assert ".git/config" not in made(found)


def test_every_guard_stands_behind_the_directories_it_is_in(root: Path) -> None:
    """Mounted in this order, none hides another."""
    (root / "a/b").mkdir(parents=True)
    git(root / "a/b", "init", "-q")
    paths = [guard.path for guard in guarded(root).guards]
    assert len(paths) == len(set(paths))
    for number, path in enumerate(paths):
        above = str(Path(path).parent)
        assert above == "." or above in paths[:number]
    assert "a/b/.git/config" in paths


def test_nothing_lies_below_what_cannot_be_changed_at_all(root: Path) -> None:
    """It would be mounted for nothing."""
    git(root, "config", "core.hooksPath", ".git/hooks/mine")
    (root / ".git/hooks/mine").mkdir()
    assert not any(path.startswith(".git/hooks/") for path in closed(guarded(root)))


def test_what_is_allowed_is_not_guarded(root: Path) -> None:
    """A file, or a directory with all that is in it; but what says what runs may do."""
    assert ".git/config" not in closed(guarded(root, ".git/config"))
    assert ".git/hooks" in closed(guarded(root, ".git/config"))
    assert not any(path.startswith(".git") for path in closed(guarded(root, ".git")))
    assert ".envrc" not in made(guarded(root, ".envrc"))
    assert "moat.yaml" in closed(guarded(root, "moat.yaml", "."))


def test_the_rest_of_a_directory_some_of_which_is_allowed(root: Path) -> None:
    """Each by itself, and the directory is made for them."""
    found = guarded(root, ".vscode/tasks.json")
    assert ".vscode/settings.json" in closed(found)
    assert ".vscode/tasks.json" not in closed(found)
    assert Guard(".vscode", writable=True) in found.guards
    assert "directory" == made(found)[".vscode"]


def test_a_link_is_guarded_with_what_it_leads_to(root: Path) -> None:
    """Whichever is changed, git obeys it."""
    (root / ".git/hooks").rename(root / "mine")
    (root / ".git/hooks").symlink_to("../between")
    (root / "between").symlink_to("mine")
    assert {".git/hooks", "between", "mine"} < closed(guarded(root))


def test_a_link_that_leads_out_is_guarded_itself(root: Path) -> None:
    """What is outside the box does not see."""
    (root / ".envrc").symlink_to("/etc/passwd")
    (root / ".mcp.json").symlink_to(".mcp.json")
    found = guarded(root)
    assert {".envrc", ".mcp.json"} < closed(found)
    assert not {".envrc", ".mcp.json"} & set(made(found))


def test_all_names_of_a_file(root: Path) -> None:
    """It could be changed by any."""
    (root / "deep").mkdir()
    os.link(root / ".git/config", root / "deep/other")
    (root / ".git/hooks/pre-commit").write_text("")
    os.link(root / ".git/hooks/pre-commit", root / "hook")
    assert {"deep/other", "hook"} < closed(guarded(root))


def test_what_the_persons_own_settings_lead_to(root: Path) -> None:
    """They hold in every repository."""
    home = root.parent / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[core]\nhooksPath = .mine\n")
    assert "socket" == made(guarded(root))[".mine"]


def test_settings_that_lead_to_everything(root: Path) -> None:
    """The workspace stays usable, and that is said."""
    git(root, "config", "core.hooksPath", ".")
    found = guarded(root)
    assert (".",) == found.open_to
    assert "" not in closed(found)


def test_a_workspace_without_a_repository_gets_none(tmp_path: Path) -> None:
    """Nor becomes one itself."""
    found = guarded(tmp_path)
    assert "directory" == made(found)[".git"]
    assert {"commondir", "refs"} < set(made(found))
    (tmp_path / "refs").mkdir()
    assert "objects" in made(guarded(tmp_path))


def test_a_large_workspace_is_searched_for_a_moment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is near is guarded, and that it was not all is said."""
    assert guarded(root).complete
    (root / "a").mkdir()
    for number in range(20):
        (root / "a" / str(number)).mkdir()
    monkeypatch.setattr(repositories, "MOST_DIRECTORIES", 10)
    found = guarded(root)
    assert not found.complete
    assert ".git/config" in closed(found)


def test_stand_ins_of_another_run_make_no_repository(tmp_path: Path) -> None:
    """However many runs begin one after another, the directory does not come to look like one."""
    root = tmp_path / "plain"
    root.mkdir()
    wanted = {"commondir", "refs"}
    for _ in range(4):
        assert wanted <= closed(guarded(root))
        for path, kind in made(guarded(root)).items():
            if "/" not in path and kind == "socket":
                os.mknod(root / path, stat.S_IFSOCK)
        assert not {"objects", "HEAD", "config"} & {entry.name for entry in root.iterdir()}


def test_files_do_not_keep_repositories_from_being_found(root: Path) -> None:
    """A run can make any number of them."""
    for number in range(31_000):
        os.mknod(root / str(number))
    (root / "z").mkdir()
    git(root / "z", "init", "-q")
    found = guard_workspace(root, environ={}, known=Known(complete=True))
    assert "z/.git/config" in closed(found)


def test_what_earlier_runs_have_found_comes_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is now."""
    (root / "z").mkdir()
    git(root / "z", "init", "-q")
    monkeypatch.setattr(repositories, "MOST_DIRECTORIES", 0)
    assert "z/.git/config" not in closed(guarded(root))
    found = guard_workspace(root, environ={}, known=Known(("z", "gone", "../x", "/")))
    assert {"z/.git/config", ".git/config"} < closed(found)


def test_what_is_known_grows(tmp_path: Path) -> None:
    """What is not found again may only be hidden."""
    directory = tmp_path / "home/work"
    assert Known() == read_known(directory)
    add_known(directory, ["", "a"], complete=True)
    add_known(directory, ["b"], complete=False)
    assert Known(("", "a", "b"), True) == read_known(directory)


def test_not_all_names_of_a_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said."""
    os.link(root / ".git/config", root / "other")
    assert guarded(root).all_names
    monkeypatch.setattr(inside, "MOST_NAMES", 0)
    assert not guarded(root).all_names


def test_files_that_go_while_names_are_looked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may work here."""
    os.link(root / ".git/config", root / "other")
    monkeypatch.setattr(os, "walk", lambda _: [(str(root), [], ["gone", "other"])])
    assert "other" in closed(guarded(root))


def common(root: Path) -> set[str]:
    return closed(guards.guard_common(root / ".git", environ={}))


def module(root: Path, *places: str) -> None:
    for place in places:
        (root / ".git" / place).mkdir(parents=True)
        git(root / ".git" / place, "init", "-q", "--bare")


def test_submodules_wherever_git_keeps_them(root: Path) -> None:
    """Below each other, below work trees, and below parts of their names."""
    places = ("modules/a", "modules/a/modules/b", "modules/c/d", "worktrees/w/modules/e")
    module(root, *places)
    for place in places:
        assert {f".git/{place}/config", f".git/{place}/hooks"} < closed(guarded(root))
        assert {f"{place}/config", f"{place}/hooks"} < common(root)


def test_what_may_become_a_submodule(root: Path) -> None:
    """It has files and no HEAD; what only has directories may hold some."""
    module(root, "modules/a", "modules/b/c")
    (root / ".git/modules/a/HEAD").rename(root / ".git/modules/a/H")
    assert ".git/modules/a" in closed(guarded(root))
    assert "modules/a" in common(root)
    assert not {".git/modules", ".git/modules/b", ".git/modules/b/c"} & closed(guarded(root))


def test_submodules_without_end(root: Path) -> None:
    """What is not looked into is guarded whole."""
    place = "/".join(["modules/a"] * (repositories._MOST_DEPTH + 2))
    module(root, place)
    for above in [Path(place), *Path(place).parents]:
        if above.name == "a":
            (root / ".git" / above / "HEAD").write_text("ref: refs/heads/main\n")
    assert any(f".git/{place}".startswith(f"{path}/") for path in closed(guarded(root)))


def test_hooks_of_submodules_are_beside_their_files(root: Path) -> None:
    """Their settings lead there from where git runs."""
    module(root, "modules/a")
    (root / "sub/mine").mkdir(parents=True)
    (root / "sub/.git").write_text("gitdir: ../.git/modules/a\n")
    git(root / ".git/modules/a", "config", "core.hooksPath", "mine")
    assert "sub/mine" in closed(guarded(root))


def test_a_directory_that_a_work_tree_shares(root: Path) -> None:
    """It needs no HEAD for that."""
    (root / "tree").mkdir()
    (root / "store/worktrees/tree").mkdir(parents=True)
    (root / "store/hooks").mkdir()
    (root / "tree/.git").write_text("gitdir: ../store/worktrees/tree\n")
    for name, text in (("HEAD", "ref: refs/heads/main"), ("commondir", "../..")):
        (root / "store/worktrees/tree" / name).write_text(text + "\n")
    assert {"store/hooks", "store/worktrees/tree/commondir"} < closed(guarded(root))


def test_a_bare_repository_that_was_known(root: Path) -> None:
    """It stays one while anything of it is there; a directory of that name is none."""
    (root / "bare").mkdir()
    git(root / "bare", "init", "-q", "--bare")
    assert ("bare",) == guarded(root).bare
    known = Known(("", "bare"), complete=True, bare=("bare",))
    for name in ("HEAD", "refs", "objects"):
        (root / "bare" / name).rename(root / "bare" / f"{name}_")
        assert {"bare/config", "bare/hooks"} < closed(
            guard_workspace(root, environ={}, known=known)
        )
    (root / "bare/config").unlink()
    found = guard_workspace(root, environ={}, known=known)
    assert not any(path.startswith("bare") for path in closed(found))


def test_nothing_is_made_where_nothing_can_appear(root: Path) -> None:
    """It is guarded whole."""
    (root / ".git/HEAD").unlink()
    assert ".git" in closed(guarded(root))
    assert not any(path.startswith(".git/") for path in made(guarded(root)))


def test_links_inside_what_is_guarded(root: Path) -> None:
    """What they lead to is, too, but for what nobody obeys; of a directory all that is in it."""
    for name in (".claude/hooks", ".claude/notes", ".git/hooks/d", "lib/deep", "notes"):
        (root / name).mkdir(parents=True)
    (root / "hook").write_text("")
    (root / ".git/hooks/d/x").symlink_to("../../../hook")
    (root / ".git/hooks/back").symlink_to("../hooks")
    (root / ".git/hooks/all").symlink_to("../..")
    (root / ".claude/hooks/y").symlink_to("../../lib")
    (root / "lib/deep/z").symlink_to("../../../outside")
    (root / ".claude/notes/n").symlink_to("../../notes")
    found = guarded(root)
    assert {"hook", "lib"} < closed(found)
    assert "notes" not in closed(found)
    assert (".",) == found.open_to


def test_more_inside_than_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said."""
    (root / "hook").write_text("")
    (root / ".git/hooks/x").symlink_to("../../hook")
    monkeypatch.setattr(inside, "MOST_INSIDE", 1)
    assert not guarded(root).all_names


def test_other_names_of_files_further_below(root: Path) -> None:
    """As of those right in a directory."""
    (root / ".husky/_").mkdir(parents=True)
    (root / ".husky/_/h").write_text("")
    os.link(root / ".husky/_/h", root / "other")
    assert "other" in closed(guarded(root))


def test_a_repository_of_a_head_and_a_common_directory(root: Path) -> None:
    """Of any names; what it leads to that is not there does not appear."""
    for name in ("d", "e/objects", "e/refs", "none"):
        (root / name).mkdir(parents=True)
    for name, leads in (("d", "../e"), ("none", "../f/g")):
        (root / name / "HEAD").write_text("ref: refs/heads/main\n")
        (root / name / "commondir").write_text(leads + "\n")
    found = guarded(root)
    assert {"d/config", "e/config", "e/hooks", "none/commondir", "f/g"} < closed(found)
    assert ("directory", "socket") == (made(found)["f"], made(found)["f/g"])
    (root / "none/HEAD").write_text("nothing of git's")
    assert "f/g" not in closed(guarded(root))


@pytest.mark.parametrize(
    ("leads", "stands"),
    [("../new/er", True), ("../file/x", False), ("../" + "x" * 256, False), ("../a/../b", False)],
)
def test_where_a_git_file_leads_and_nothing_is(root: Path, leads: str, stands: bool) -> None:
    """Nothing appears there, if it could: the run begins in any case."""
    (root / "sub").mkdir()
    (root / "file").write_text("")
    (root / "sub/.git").write_text(f"gitdir: {leads}\n")
    assert stands == (leads.removeprefix("../") in made(guarded(root)))


def test_the_longest_chain_of_links_the_kernel_follows(root: Path) -> None:
    """And one that it does not."""
    (root / "end").write_text("x")
    for number in range(41):
        (root / f"l{number}").symlink_to(f"l{number - 1}" if number else "end")
    (root / ".envrc").symlink_to("l38")
    assert "x" == (root / ".envrc").read_text()
    assert "end" in closed(guarded(root))
    (root / ".envrc").unlink()
    (root / ".envrc").symlink_to("l39")
    with pytest.raises(OSError, match="symbolic links"):
        (root / ".envrc").read_text()
    assert "end" not in closed(guarded(root))
