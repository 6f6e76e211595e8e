"""What is made in a workspace is gone when nobody needs it, and nothing else ever is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.workspace.guards import StandIn
from moat.workspace.standins import StandIns, remove_lost

WANTED = (
    StandIn(".envrc", "socket"),
    StandIn(".vscode", "directory"),
    StandIn(".vscode/tasks.json", "socket"),
    StandIn("commondir", "itself"),
    StandIn("config.worktree", "file"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty workspace."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def stand_ins(root: Path, tmp_path: Path) -> StandIns:
    """Of that workspace, written down as Moat does."""
    return StandIns(tmp_path / "home/workspaces/work-1", root)


def there(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def lose(stand_ins: StandIns) -> None:
    """A run that makes its stand-ins and is killed."""
    child = os.fork()
    if child == 0:
        with stand_ins.used_by("lost"):
            stand_ins.make(WANTED)
            os.kill(os.getpid(), 9)
    assert os.waitpid(child, 0)[1] == 9


def test_they_are_there_while_a_run_lives(root: Path, stand_ins: StandIns) -> None:
    """Closed to everybody, or what git takes for granted."""
    with stand_ins.used_by("run"):
        stand_ins.make(WANTED)
        assert sorted(one.path for one in WANTED) == there(root)
        assert stat.S_IFSOCK == (root / ".envrc").lstat().st_mode
        assert ".\n" == (root / "commondir").read_text()
        assert "" == (root / "config.worktree").read_text()
        assert {one.path for one in WANTED} == stand_ins.paths
    assert [] == there(root)
    assert frozenset() == stand_ins.paths


def test_the_last_run_takes_them_away(root: Path, stand_ins: StandIns) -> None:
    """The first to leave would take the guard of the other's box away."""
    with stand_ins.used_by("one"):
        with stand_ins.used_by("two"):
            stand_ins.make(WANTED)
        assert sorted(one.path for one in WANTED) == there(root)
    assert [] == there(root)


def test_what_a_lost_run_left_goes_with_the_next(root: Path, stand_ins: StandIns) -> None:
    """Whoever that is."""
    lose(stand_ins)
    assert there(root)
    with stand_ins.used_by("next"):
        assert [] == there(root)


def test_what_a_lost_run_left_goes_with_any_command(
    root: Path, stand_ins: StandIns, tmp_path: Path
) -> None:
    """But not while another run lives."""
    with stand_ins.used_by("alive"):
        lose(stand_ins)
        remove_lost(tmp_path / "home/workspaces")
        assert there(root)
    lose(stand_ins)
    remove_lost(tmp_path / "home/workspaces")
    assert [] == there(root)


def test_a_run_killed_in_the_midst_leaves_nothing(
    root: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what has not got its name yet."""
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "link", lambda *_, **__: os.kill(os.getpid(), 9))
        with stand_ins.used_by("lost"):
            stand_ins.make(WANTED)
    assert os.waitpid(child, 0)[1] == 9
    assert any(name.startswith(".moat-") for name in there(root))
    stand_ins.remove_lost()
    assert [] == there(root)


def test_what_is_there_stays_as_it_is(root: Path, stand_ins: StandIns) -> None:
    """During a run and after it."""
    (root / ".envrc").write_text("mine")
    with stand_ins.used_by("run"):
        stand_ins.make(WANTED)
        assert "mine" == (root / ".envrc").read_text()
    assert [".envrc"] == there(root)


@pytest.mark.parametrize("name", ["commondir", "config.worktree", ".envrc"])
def test_what_has_taken_a_place_stays(root: Path, stand_ins: StandIns, name: str) -> None:
    """A file of the person's, of the same size and perhaps the same inode."""
    with stand_ins.used_by("run"):
        stand_ins.make(WANTED)
        content = (root / name).read_text() if name != ".envrc" else ""
        (root / name).unlink()
        (root / name).write_text(content)
    assert [name] == there(root)


def test_a_directory_that_is_used_stays(root: Path, stand_ins: StandIns) -> None:
    """With what is in it."""
    with stand_ins.used_by("run"):
        stand_ins.make(WANTED)
        (root / ".vscode/mine").write_text("")
    assert [".vscode", ".vscode/mine"] == there(root)


def test_no_link_is_followed(root: Path, stand_ins: StandIns, tmp_path: Path) -> None:
    """Neither to make something nor to remove it."""
    other = tmp_path / "other"
    other.mkdir()
    (root / ".vscode").symlink_to(other)
    with stand_ins.used_by("run"), pytest.raises(MoatError, match=r"\.vscode cannot be kept"):
        stand_ins.make(WANTED[2:3])
    assert [] == there(other)


def test_where_there_are_no_sockets(
    root: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory stands there: git does not see that either."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    with stand_ins.used_by("run"):
        stand_ins.make(WANTED[:1])
        assert (root / ".envrc").is_dir()
    assert [] == there(root)


def test_a_line_cut_in_half_hides_no_other(root: Path, stand_ins: StandIns, tmp_path: Path) -> None:
    """As when the machine stopped."""
    lose(stand_ins)
    with (tmp_path / "home/workspaces/work-1/made.jsonl").open("a") as file:
        file.write('{"pa')
    stand_ins.remove_lost()
    assert [] == there(root)


def test_a_workspace_that_is_absent_for_a_while(root: Path, stand_ins: StandIns) -> None:
    """What was made goes when it is back."""
    lose(stand_ins)
    root.rename(root.with_name("away"))
    stand_ins.remove_lost()
    root.with_name("away").rename(root)
    stand_ins.remove_lost()
    assert [] == there(root)


def test_another_file_system_in_its_place(root: Path, stand_ins: StandIns, tmp_path: Path) -> None:
    """What was made on the first is there when that is back."""
    lose(stand_ins)
    journal = tmp_path / "home/workspaces/work-1/made.jsonl"
    device = root.stat().st_dev
    journal.write_text(journal.read_text().replace(f'"device": {device},', '"device": 1,'))
    stand_ins.remove_lost()
    assert '"device": 1,' in journal.read_text()
    assert frozenset() == stand_ins.paths


@pytest.mark.parametrize("content", [b"", b"work"])
def test_a_root_that_is_none(
    root: Path, stand_ins: StandIns, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be somewhere below where the command was started."""
    lose(stand_ins)
    (tmp_path / "home/workspaces/work-1/root").write_bytes(content)
    monkeypatch.chdir(root if not content else tmp_path)
    before = there(root)
    remove_lost(tmp_path / "home/workspaces")
    assert before == there(root)
    with stand_ins.used_by("next"):
        assert str(root) == (tmp_path / "home/workspaces/work-1/root").read_text()
    assert [] == there(root)


def test_what_cannot_be_removed_stays_written_down(
    root: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes with the next."""
    unlink = os.unlink

    def refuse(path: str, **more: int) -> None:
        if path == "commondir":
            raise PermissionError(13, "Permission denied")
        unlink(path, **more)

    with stand_ins.used_by("run"):
        stand_ins.make(WANTED)
        monkeypatch.setattr(os, "unlink", refuse)
    assert ["commondir"] == there(root)
    monkeypatch.undo()
    with stand_ins.used_by("next"):
        assert [] == there(root)


def test_whether_a_workspace_is_used(root: Path, stand_ins: StandIns) -> None:
    """By any run that lives; a lost one's things go first."""
    lose(stand_ins)
    with stand_ins.unused() as unused:
        assert unused
        assert [] == there(root)
    with stand_ins.used_by("run"), stand_ins.unused() as unused:
        assert not unused


def test_what_says_something_else_is_none(root: Path, stand_ins: StandIns) -> None:
    """Of the same size and time, in the same file."""
    with stand_ins.used_by("run"):
        stand_ins.make(WANTED)
        file = root / "commondir"
        status = file.stat()
        file.chmod(0o644)
        file.write_text("e\n")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert {one.path for one in WANTED} - {"commondir"} == stand_ins.paths


@pytest.mark.parametrize(("first", "second"), [("", "sub"), ("sub", "")])
def test_runs_in_a_directory_and_in_one_below(
    root: Path, tmp_path: Path, first: str, second: str
) -> None:
    """A repository is in its workspace and, for --worktree, a place of its own: what one run has
    made there is another's guard."""
    (root / "sub").mkdir()

    def of(place: str) -> StandIns:
        return StandIns(tmp_path / f"home/workspaces/one{place}", root / place)

    wanted = {"": StandIn("sub/commondir", "itself"), "sub": StandIn("commondir", "itself")}
    leaving = of(first).used_by("one")
    leaving.__enter__().make((wanted[first],))
    with of(second).used_by("two") as staying:
        staying.make((wanted[second],))
        inode = (root / "sub/commondir").stat().st_ino
        leaving.__exit__(None, None, None)
        assert inode == (root / "sub/commondir").stat().st_ino
    assert ["sub"] == there(root)
