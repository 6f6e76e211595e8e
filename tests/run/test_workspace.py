"""A run works in one project, never in a directory that would give more away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moat.errors import UsageError
from moat.run.workspace import Guarded, resolve_workspace


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small world: homes/me with .moat and src/project in it."""
    for name in ("homes/me/.moat/runs", "homes/me/src/project", "elsewhere", "moat/below"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "homes/me/src/file").touch()
    (tmp_path / "root").symlink_to("/")
    (tmp_path / "home").symlink_to("homes/me")
    (tmp_path / "link").symlink_to("homes/me/src/project")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path / "homes/me/src/project")
    return tmp_path


def resolve(world: Path, given: str, moat_home: str = "homes/me/.moat") -> Path:
    homes = [world / "home", world / "elsewhere"]
    return resolve_workspace(given, guarded=Guarded(tuple(homes), world / moat_home))


def refused(world: Path, given: str, **where: str) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(world, given, **where)
    assert (2, True) == (caught.value.exit_code, bool(caught.value.hint))
    return caught.value.message


@pytest.mark.parametrize(
    "given", [".", "../project", "{}/homes/me/src/project", "{}/link", "{}/home/src/project/", "./"]
)
def test_one_project_is_good(world: Path, given: str) -> None:
    """By whatever spelling, it is resolved to its real path."""
    assert world / "homes/me/src/project" == resolve(world, given.format(world))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("/", "whole file system"),
        ("//", "whole file system"),
        ("/../..", "whole file system"),
        ("/usr/..", "whole file system"),
        ("{}/root", "whole file system"),
        ("{}/root/etc", "system directory"),
        ("{}/home", "your home directory, with your keys"),
        ("{}/homes/me", "your home directory, with your keys"),
        ("../..", "your home directory, with your keys"),
        ("{}/elsewhere", "your home directory, with your keys"),
        ("{}/homes", "your home directory is inside it"),
        ("{}/homes/me/..", "your home directory is inside it"),
        ("{}", "your home directory is inside it"),
        ("{}/homes/me/.moat", "Moat's own files"),
        ("{}/homes/me/.moat/runs", "among Moat's own files"),
    ],
)
def test_too_much_is_refused(world: Path, given: str, reason: str) -> None:
    """The reason is told, for every spelling and through every link."""
    assert reason in refused(world, given.format(world))


def test_moats_files_may_be_anywhere(world: Path) -> None:
    """A MOAT_HOME elsewhere is as closed as ~/.moat, from around and from inside."""
    (world / "moat/project").mkdir()
    for given, reason in (("moat", "inside it"), ("moat/below", "inside it")):
        assert reason in refused(world, str(world / given), moat_home="moat/below/deep")
    (world / "moat/below/deep").mkdir()
    for given in ("moat/below/deep", "moat/below"):
        assert "Moat's own files" in refused(world, str(world / given), moat_home="moat/below/deep")
    project = world / "moat/project"
    assert project == resolve(world, str(project), moat_home="moat/below/deep")


SYSTEM = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/local", "/var", "/var/lib", "/var/tmp",
    "/etc/ssl", "/usr/bin", "/usr/lib", "/proc/self", "/proc/self/root", "/sys/kernel", "/dev/shm",
]  # fmt: skip


@pytest.mark.parametrize("given", SYSTEM)
def test_system_directories_are_refused(world: Path, given: str) -> None:
    """Programs, settings, devices and everybody's folders are no project."""
    if not Path(given).is_dir():
        pytest.skip(f"there is no {given} here")
    assert "is refused" in refused(world, given)


@pytest.mark.parametrize("parent", ["/tmp", "/var/tmp"])
def test_a_folder_of_ours_below_is_good(world: Path, parent: str) -> None:
    """Where everybody keeps things, one's own folder is a project like any other."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=parent) as folder:
        real = Path(folder).resolve()
        assert real == resolve(world, folder)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "the workspace is empty"),
        ("{}/none", "does not exist"),
        ("{}/none/..", "does not exist"),
        ("{}/homes/me/src/file", "is not a directory"),
        ("{}/homes/me/src/file/x", "does not exist"),
        ("{}/loop", "does not exist|Too many levels|cannot be used"),
        ("~nobody-of-this-name/x", "does not exist"),
        ("/dev/null", "is not a directory"),
        ("a" * 300, "File name too long"),
    ],
)
def test_what_is_no_directory_is_told(world: Path, given: str, said: str) -> None:
    """What was typed is repeated, with what is the matter with it."""
    message = refused(world, given.format(world))
    assert any(part in message for part in said.split("|"))


def test_a_home_that_is_not_known_hides_nothing(world: Path) -> None:
    """Without a home directory all else is refused as ever."""
    for given in ("/", "/etc", str(world / "homes/me/.moat")):
        with pytest.raises(UsageError, match="is refused"):
            resolve_workspace(given, guarded=Guarded((), world / "homes/me/.moat"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_directory_is_told(world: Path) -> None:
    """What may not be entered is not called missing."""
    closed = world / "closed"
    (closed / "project").mkdir(parents=True)
    closed.chmod(0)
    try:
        assert "Permission denied" in refused(world, str(closed / "project"))
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize("folder", [".ssh", ".aws/sub", ".gnupg"])
def test_where_keys_are_kept_is_refused(world: Path, folder: str) -> None:
    """However it is reached, a link left in a project included."""
    (world / "homes/me" / folder).mkdir(parents=True)
    (world / "homes/me/src/project/innocent").symlink_to(world / "homes/me" / folder)
    assert "keys are kept" in refused(world, "innocent")
    assert "keys are kept" in refused(world, f"{world}/homes/me/{folder}")


def test_other_hidden_directories_are_good(world: Path) -> None:
    """People keep projects there."""
    (world / "homes/me/.config/editor").mkdir(parents=True)
    expected = world / "homes/me/.config/editor"
    assert expected == resolve(world, f"{world}/homes/me/.config/editor")


@pytest.mark.parametrize("given", [".", "..", "lib/site-packages/sub"])
def test_moats_own_program_is_no_workspace(
    world: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Whoever can write there is Moat, the next time it starts."""
    own = world / "homes/me/src/project/lib/site-packages"
    (own / "sub").mkdir(parents=True)
    homes = [world / "home"]
    with pytest.raises(UsageError, match="Moat's own program"):
        resolve_workspace(given, guarded=Guarded(tuple(homes), world / "homes/me/.moat", (own,)))


def test_where_this_program_imports_from_is_no_workspace(world: Path) -> None:
    """A script of the project would import what a run has written."""
    scripts = world / "homes/me/src/project/scripts"
    scripts.mkdir(parents=True)
    guarded = Guarded((world / "home",), world / "homes/me/.moat", (), (scripts,))
    with pytest.raises(UsageError, match=r"imports modules from .*/scripts.*start Python with -P"):
        resolve_workspace(".", guarded=guarded)


def test_a_folder_beside_moats_own_program_is_good(world: Path) -> None:
    """As in a tool's own repository, below a folder of its own."""
    own = world / "homes/me/src/moat"
    own.mkdir(parents=True)
    found = resolve_workspace(".", guarded=Guarded((), world / "homes/me/.moat", (own,)))
    assert world / "homes/me/src/project" == found
