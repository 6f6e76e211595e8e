"""What else of the host a run sees is named by the person, and is never what would give it away."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from moat.config.project import ProjectMount
from moat.errors import UsageError
from moat.run.mounts import parse_mount, resolve_mounts
from moat.run.workspace import Guarded
from moat.runtimes.interface import Mount


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A home with Moat's directory, keys, a project, and things beside it."""
    for name in ("me/.moat/runs", "me/src/project/inside", "me/data/deep", "me/.ssh", "code/moat",
                 "me/.config/gh", "me/.codex"):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
    for name in ("me/data/file", "me/.ssh/id", "me/.netrc", "me/.moat/config.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "me/sly").symlink_to(".ssh")
    (tmp_path / "me/src/project/out").symlink_to("../../data")
    os.mkfifo(tmp_path / "me/data/fifo")
    return tmp_path


def resolve(world: Path, *texts: str) -> tuple[Mount, ...]:
    guarded = Guarded((world / "me",), world / "me/.moat", (world / "code/moat",))
    asked = [("--mount", parse_mount(text.replace("{}", str(world)))) for text in texts]
    return resolve_mounts(asked, workspace=world / "me/src/project", guarded=guarded)


@pytest.mark.parametrize(
    ("text", "source", "target", "writable"),
    [
        ("{}/me/data:/data", "me/data", "/data", False),
        ("{}/me/data:/data:ro", "me/data", "/data", False),
        ("{}/me/data:/data:rw", "me/data", "/data", True),
        ("{}/me/data/file:/data/file", "me/data/file", "/data/file", False),
        ("../../data:/mnt//data/", "me/data", "/mnt/data", False),
        ("{}/me/data:/home/agent/data", "me/data", "/home/agent/data", False),
        ("{}/me/data:/tmp/data", "me/data", "/tmp/data", False),
    ],
)
def test_a_mount_is_what_was_asked_for(
    world: Path, text: str, source: str, target: str, writable: bool
) -> None:
    """Read-only unless it says rw; a relative source is seen from the workspace."""
    assert (Mount(world / source, target, writable, judged=True),) == resolve(world, text)


@pytest.mark.parametrize("text", ["", ":", "a", "a:", ":/b", "a:b:c:d", "a:/b:rx", "a:/b:ro:rw"])
def test_what_is_no_mount_is_told(text: str) -> None:
    """With how it is written."""
    with pytest.raises(UsageError, match="--mount") as caught:
        parse_mount(text)
    assert "~/data:/data" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{}/me/missing", "No such file"),
        ("{}/me/data/fifo", "leads out of the box"),
        ("/dev/null", "leads out of the box"),
        ("{}/me/src/project/inside", "is in the workspace"),
        ("{}/me/src/project", "is in the workspace"),
        ("inside", "is in the workspace"),
        ("out", "is in the workspace"),
        ("{}/me/src", "the workspace is inside"),
        ("/", "the workspace is inside"),
        ("{}/me/.ssh", "where keys are kept"),
        ("{}/me/.ssh/id", "where keys are kept"),
        ("{}/me/sly", "leads through a link"),
        ("{}/me/.netrc", "where keys are kept"),
        ("{}/me/.codex", "where keys are kept"),
        ("{}/me/.config/gh", "where keys are kept"),
        ("{}/me/.config", "where keys are kept"),
        ("{}/me/.moat", "Moat's own files"),
        ("{}/me/.moat/config.yaml", "Moat's own files"),
        ("{}/code", "Moat's own program"),
        ("/etc/shadow", "system directory"),
        ("/var/run", "leads through a link"),
    ],
)
def test_what_gives_too_much_away_is_refused(world: Path, source: str, reason: str) -> None:
    """Keys, Moat's own things, the system's, and whatever leads to another process."""
    with pytest.raises(UsageError, match=reason):
        resolve(world, source + ":/data")


def test_what_is_obeyed_on_the_host_is_read_only(world: Path) -> None:
    """A person's programs and settings: an agent that writes there is at home. A cache is none."""
    for name in (".local/bin", ".cache/pip"):
        (world / "me" / name).mkdir(parents=True)
    (world / "me/.bashrc").touch()
    for source in ("{}/me/.bashrc", "{}/me/.local/bin"):
        assert 1 == len(resolve(world, source + ":/data"))
        with pytest.raises(UsageError, match="may be run or obeyed"):
            resolve(world, source + ":/data:rw")
    assert 1 == len(resolve(world, "{}/me/.cache/pip:/data:rw"))
    # A home may be known by a link to it.
    (world / "home").symlink_to("me")
    guarded = Guarded((world / "home",), world / "me/.moat")
    asked = [("--mount", parse_mount(f"{world}/me/.local/bin:/data:rw"))]
    with pytest.raises(UsageError, match="may be run or obeyed"):
        resolve_mounts(asked, workspace=world / "me/src/project", guarded=guarded)


def test_a_socket_is_refused(world: Path) -> None:
    """Docker's or an agent's: who speaks to it is outside the box."""
    place = world / "me/data/s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        with pytest.raises(UsageError, match="a socket or a device"):
            resolve(world, f"{place}:/data")


@pytest.mark.parametrize(
    "target",
    ["data", "/", "/workspace", "/workspace/x", "/moat", "/moat/codex-init", "/opt", "/opt/moat/x",
     "/home", "/home/agent", "/home/agent/.codex", "/usr/local/bin", "/etc", "/proc", "/proc/1",
     "/dev/x", "/run/x", "/a/../etc", "//etc", "/./usr"],
)  # fmt: skip
def test_moats_own_places_are_taken(world: Path, target: str) -> None:
    """A mount replaces nothing that a box is made of."""
    with pytest.raises(UsageError, match=r"--mount: "):
        resolve(world, "{}/me/data:" + target)


@pytest.mark.parametrize(("one", "other"), [("/a", "/a"), ("/a", "/a/b"), ("/a/b", "/a")])
def test_two_mounts_do_not_lie_upon_each_other(world: Path, one: str, other: str) -> None:
    """The second would hide the first, or be put into it."""
    with pytest.raises(UsageError, match="upon each other"):
        resolve(world, "{}/me/data:" + one, "{}/me/data/deep:" + other)
    assert 2 == len(resolve(world, "{}/me/data:/a", "{}/me/data/deep:/ab"))


def test_the_project_is_named_where_it_asked(world: Path) -> None:
    """An error says whose mount it was."""
    guarded = Guarded((world / "me",), world / "me/.moat")
    with pytest.raises(UsageError, match=r"^mounts in moat.yaml: .* where keys"):
        resolve_mounts(
            [("mounts in moat.yaml", ProjectMount("../../.ssh", "/keys"))],
            workspace=world / "me/src/project",
            guarded=guarded,
        )
