"""The project file is found where a hostile agent could have put anything in its place."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from moat.config.project import Project
from moat.config.project_file import ProjectFile, find_project_file
from moat.config.yaml import MAX_BYTES
from moat.errors import ConfigError

SECRET = "sk-proj-this-is-a-secret"


def found(workspace: Path) -> ProjectFile:
    file = find_project_file(workspace)
    assert file is not None
    return file


def refusal(workspace: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        find_project_file(workspace)
    return caught.value


def test_a_workspace_need_not_have_one(tmp_path: Path) -> None:
    """Nor is one looked for above or below."""
    workspace = tmp_path / "workspace"
    (workspace / "below").mkdir(parents=True)
    (tmp_path / "moat.yaml").write_text("name: above")
    (workspace / "below/moat.yaml").write_text("name: below")
    (workspace / "moat.yml").write_text("name: other")

    assert find_project_file(workspace) is None


def test_a_file_is_found_and_read(tmp_path: Path) -> None:
    """With its path, its bytes and their digest."""
    path = tmp_path / "moat.yaml"
    path.write_bytes(b"name: shop # \xc3\xa9\r\n")

    file = found(tmp_path)

    assert ProjectFile(path, "moat.yaml", b"name: shop # \xc3\xa9\r\n", deprecated=False) == file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.digest
    assert Project(name="shop") == file.read()


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    """It says nothing, which is not the same as not being there."""
    (tmp_path / "moat.yaml").touch()

    assert Project() == found(tmp_path).read()


def test_the_older_name_is_found_where_there_is_no_other(tmp_path: Path) -> None:
    """And said to be deprecated."""
    (tmp_path / "agent.yaml").write_text("name: older")
    older = found(tmp_path)
    assert ("agent.yaml", True, "older") == (older.name, older.deprecated, older.read().name)

    (tmp_path / "moat.yaml").write_text("name: newer")
    newer = found(tmp_path)
    assert ("moat.yaml", False, "newer") == (newer.name, newer.deprecated, newer.read().name)


def test_errors_name_the_file(tmp_path: Path) -> None:
    """By its whole path, so that a terminal can open it."""
    (tmp_path / "moat.yaml").write_text("name: a\ngrant: []\n")
    file = found(tmp_path)

    with pytest.raises(ConfigError) as caught:
        file.read()

    assert f'{tmp_path}/moat.yaml:2:1: unknown key "grant"' == caught.value.message


@pytest.mark.attack
def test_a_link_to_a_secret_does_not_tell_it(tmp_path: Path) -> None:
    """An error that quotes what is there would carry a file of the host into a log of the box."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "secret").write_text(f"{SECRET}: [")
    (workspace / "moat.yaml").symlink_to("../secret")

    error = refusal(workspace)

    path = workspace / "moat.yaml"
    assert f"{path}:1:1: is a symbolic link, and not a file" == error.message
    assert f"move it away: mv {path} {path}.old" == error.hint

    path.unlink()
    path.write_text(f"{SECRET}: 1")
    with pytest.raises(ConfigError, match=SECRET):  # the twin: what is its own is quoted
        found(workspace).read()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(path))


def _device(path: Path) -> None:
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero has no end


@pytest.mark.attack
@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (Path.mkdir, "a directory"),
        (_pipe, "a pipe"),
        (_socket, "a socket"),
        pytest.param(
            _device,
            "a device",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices"),
        ),
        (lambda path: path.symlink_to("nowhere"), "a symbolic link"),
        (lambda path: path.symlink_to(path.name), "a symbolic link"),
    ],
    ids=["directory", "pipe", "socket", "device", "broken-link", "loop"],
)
@pytest.mark.parametrize("name", ["moat.yaml", "agent.yaml"])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, name: str, plant: Callable[[Path], None], kind: str
) -> None:
    """A pipe nobody writes to must not keep us waiting; nor is the older name tried then."""
    try:
        plant(tmp_path / name)
    except PermissionError:
        pytest.skip("devices cannot be made here")
    if name == "moat.yaml":
        (tmp_path / "agent.yaml").write_text("name: a")

    assert f"{tmp_path}/{name}:1:1: is {kind}, and not a file" == refusal(tmp_path).message


@pytest.mark.attack
def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """Not even a sparse one of a terabyte; as much as fits is."""
    path = tmp_path / "moat.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert Project() == found(tmp_path).read()

    os.truncate(path, 1 << 40)

    assert f"{path}:1:1: is larger than 1024 KiB" == refusal(tmp_path).message


@pytest.mark.attack
def test_what_is_checked_is_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file swapped between any two looks changes nothing: it is opened and read once."""
    path = tmp_path / "moat.yaml"
    path.write_text("name: good")
    opened: list[str] = []
    real = os.open

    def open_and_swap(name: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
        descriptor = real(name, flags, *args, dir_fd=dir_fd)
        if dir_fd is not None:
            opened.append(name)
            path.unlink()
            path.write_text("name: evil")
        return descriptor

    monkeypatch.setattr(os, "open", open_and_swap)
    file = found(tmp_path)
    monkeypatch.undo()

    assert ["moat.yaml"] == opened
    assert path.read_text() == "name: evil"
    assert Project(name="good") == file.read()
    assert hashlib.sha256(b"name: good").hexdigest() == file.digest


@pytest.mark.attack
def test_a_workspace_swapped_for_a_link_is_refused(tmp_path: Path) -> None:
    """It was a directory when it was resolved."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/moat.yaml").write_text("name: a")
    (tmp_path / "link").symlink_to("real")

    assert "a" == found(tmp_path / "real").read().name
    assert "link:1:1: cannot be read" in refusal(tmp_path / "link").message
    assert "none:1:1: cannot be read: No such file" in refusal(tmp_path / "none").message


@pytest.mark.attack
def test_a_path_cannot_steer_the_device(tmp_path: Path) -> None:
    """Directories are named by the agent as well."""
    workspace = tmp_path / "a\x1b[2J\u202e\n"
    workspace.mkdir()
    (workspace / "moat.yaml").mkdir()

    error = refusal(workspace)

    assert (error.message + (error.hint or "")).isprintable()
    assert r"a\x1b[2J\u202e\n/moat.yaml:1:1: is a directory" in error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """It is there, so the defaults are not what the project asks for."""
    path = tmp_path / "moat.yaml"
    path.touch(mode=0)

    error = refusal(tmp_path)

    assert f"{path}:1:1: cannot be read: Permission denied" == error.message
    assert f"run: chmod u+r {path}" == error.hint


LOADED = """
import sys
from pathlib import Path
from moat.config.project_file import find_project_file
find_project_file(Path(sys.argv[1]))
heavy = {"yaml", "moat.config.project_schema", "difflib", "socket", "ssl"}
print(*sorted(heavy & set(sys.modules)))
"""


def loaded_modules(workspace: Path) -> list[str]:
    argv = [sys.executable, "-c", LOADED, str(workspace)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


def test_looking_for_a_file_is_light(tmp_path: Path) -> None:
    """Every run looks; YAML is for those who have a file."""
    assert [] == loaded_modules(tmp_path)

    (tmp_path / "moat.yaml").touch()
    assert ["yaml"] == loaded_modules(tmp_path)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Neither of the directory nor of the file, whatever it was."""
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))

    assert find_project_file(tmp_path) is None
    (tmp_path / "moat.yaml").mkdir()
    refusal(tmp_path)
    (tmp_path / "moat.yaml").rmdir()
    (tmp_path / "moat.yaml").touch()
    found(tmp_path)

    assert before == len(list(descriptors.iterdir()))
