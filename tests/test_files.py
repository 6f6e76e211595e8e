"""What other users can get at is refused, and the error carries the command that mends it."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moat.errors import MoatError, UnsafeFile
from moat.files import (
    check_private_file,
    ensure_own_dir,
    ensure_private_dir,
    open_private_file,
    open_trusted_file,
)

SOMEBODY = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
needs_no_root = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def somebody() -> Iterator[None]:
    """Be anybody but root: ourselves, if that is so already."""
    ours = os.geteuid()
    if ours == 0:
        os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        os.seteuid(ours)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(action: Callable[[Path], object], path: Path) -> UnsafeFile:
    with pytest.raises(UnsafeFile) as caught:
        action(path)
    assert str(path) in caught.value.message
    return caught.value


def mend(error: UnsafeFile) -> None:
    """Do as the hint says."""
    assert error.hint is not None
    _, _, command = error.hint.partition(": ")
    subprocess.run(command.removeprefix("sudo "), shell=True, check=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "it's a secret"  # a name the shell would trip over
    path.write_bytes(b"secret")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o377, 0o777])
def test_a_new_directory_and_its_parents_are_0700(tmp_path: Path, mask: int) -> None:
    """Whatever the umask, nobody else gets in and we do."""
    with umask(mask):
        ensure_private_dir(tmp_path / "a/b/c")

    assert [mode(tmp_path / each) for each in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_an_existing_private_directory_is_left_alone(tmp_path: Path) -> None:
    """Ensuring twice is ensuring once; existing parents may be open."""
    tmp_path.chmod(0o755)
    path = tmp_path / "a"
    ensure_private_dir(path)
    (path / "kept").touch()

    ensure_private_dir(path)

    assert (path / "kept").exists()
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("bits", [0o040, 0o020, 0o010, 0o004, 0o002, 0o001, 0o1000 | 0o005])
def test_any_permission_for_others_is_refused_until_mended(tmp_path: Path, bits: int) -> None:
    """One bit is enough, and the hint takes it away."""
    path = tmp_path / "with space"
    path.mkdir()
    path.chmod(0o700 | bits)

    error = refusal(ensure_private_dir, path)

    assert error.hint == f"run: chmod 700 '{path}'"
    mend(error)
    ensure_private_dir(path)


@pytest.mark.parametrize("bits", [0o020, 0o002])
def test_an_own_directory_may_be_read_but_not_written(tmp_path: Path, bits: int) -> None:
    """Reading is fine for a directory whose secrets are further down."""
    path = tmp_path / "home"
    path.mkdir()
    path.chmod(0o755)
    ensure_own_dir(path)
    path.chmod(0o755 | bits)

    error = refusal(ensure_own_dir, path)

    mend(error)
    ensure_own_dir(path)
    assert mode(path) == 0o755


@pytest.mark.parametrize("ensure", [ensure_private_dir, ensure_own_dir])
def test_a_link_to_a_directory_is_refused(tmp_path: Path, ensure: Callable[[Path], object]) -> None:
    """Even to a good one: whoever made the link chooses where it leads."""
    ensure_private_dir(tmp_path / "real")
    link = tmp_path / "link"
    link.symlink_to("real")

    error = refusal(ensure, link)

    assert "symbolic link" in error.message
    mend(error)
    ensure(link)


def test_something_else_than_a_directory_is_refused(file: Path) -> None:
    """A file in the way is not removed by us."""
    error = refusal(ensure_private_dir, file)

    assert "Not a directory" in error.message
    mend(error)
    ensure_private_dir(file)


def test_a_directory_that_cannot_be_created_says_why(file: Path) -> None:
    """An error of the system is an error a person can read."""
    with pytest.raises(MoatError, match=r"cannot create .*: Not a directory"):
        ensure_private_dir(file / "below")


@needs_root
@pytest.mark.parametrize("ensure", [ensure_private_dir, ensure_own_dir])
def test_somebody_elses_directory_is_refused(
    tmp_path: Path, ensure: Callable[[Path], object]
) -> None:
    """Its owner could open it at any time."""
    path = tmp_path / "theirs"
    path.mkdir(0o700)
    os.chown(path, SOMEBODY, -1)

    error = refusal(ensure, path)

    assert error.hint == f"if its contents are yours, run: sudo chown {os.geteuid()} {path}"


@needs_no_root
def test_a_directory_closed_to_ourselves_is_refused(tmp_path: Path) -> None:
    """The hint opens it to us and to nobody else."""
    path = tmp_path / "closed"
    path.mkdir()
    path.chmod(0)

    mend(refusal(ensure_private_dir, path))

    ensure_private_dir(path)


def test_a_private_file_is_handed_out(file: Path) -> None:
    """What was checked is what is read, even when the name means another file by then."""
    with open_private_file(file) as opened:
        file.unlink()
        file.write_bytes(b"planted")
        assert opened.read() == b"secret"


@pytest.mark.parametrize("bits", [0o040, 0o020, 0o010, 0o004, 0o002, 0o001])
def test_a_file_open_to_others_is_refused_until_mended(file: Path, bits: int) -> None:
    """One bit is enough, and the hint takes it away."""
    file.chmod(0o600 | bits)

    error = refusal(check_private_file, file)

    mend(error)
    check_private_file(file)
    assert mode(file) == 0o600


def test_a_link_to_a_private_file_is_refused(file: Path, tmp_path: Path) -> None:
    """Whoever made the link chooses what we take for our secret."""
    link = tmp_path / "link"
    link.symlink_to(file)

    assert "symbolic link" in refusal(check_private_file, link).message


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Opening one must not hang until somebody writes."""
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o600)

    assert "Not a regular file" in refusal(check_private_file, path).message


def test_a_missing_file_is_missing_and_not_unsafe(tmp_path: Path) -> None:
    """The caller decides what its absence means."""
    with pytest.raises(FileNotFoundError):
        check_private_file(tmp_path / "none")


@needs_root
def test_somebody_elses_file_is_refused(file: Path) -> None:
    """Its owner can change it at any time."""
    os.chown(file, SOMEBODY, -1)

    mend(refusal(check_private_file, file))

    check_private_file(file)


@pytest.mark.parametrize("bits", [0o644, 0o444, 0o600, 0o755])
def test_a_trusted_file_may_be_read_by_others(file: Path, bits: int) -> None:
    """It holds no secret; it must only stay what we made it."""
    file.chmod(bits)

    with open_trusted_file(file) as opened:
        assert opened.read() == b"secret"


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666])
def test_a_trusted_file_others_can_change_is_refused(file: Path, tmp_path: Path, bits: int) -> None:
    """By its own name or through a link."""
    link = tmp_path / "link"
    link.symlink_to(file)
    file.chmod(bits)
    refusal(open_trusted_file, link)

    mend(refusal(open_trusted_file, file))

    open_trusted_file(link).close()


@needs_root
def test_a_trusted_file_is_not_somebody_elses(file: Path) -> None:
    """Its owner can change it at any time."""
    file.chmod(0o644)
    os.chown(file, SOMEBODY, -1)

    mend(refusal(open_trusted_file, file))

    open_trusted_file(file).close()


def test_a_trusted_file_may_be_roots() -> None:
    """Root can change everything anyway."""
    with somebody():
        open_trusted_file(Path("/etc/passwd")).close()


def test_an_own_directory_may_not_be_roots() -> None:
    """Root's directory is no place for our files, even if nobody else can write there."""
    with somebody():
        assert "belongs to another user (uid 0" in refusal(ensure_own_dir, Path("/usr")).message
