"""The key of the vault is 32 bytes that only we can read, or it is not used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from moat.errors import GrantError, UnsafeFile
from moat.vault.keys import load_key, make_key

SOMEBODY = 54321


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vault.key"


def test_there_is_no_key_at_first(file: Path) -> None:
    """A key that is not there is None, and looking does not make one."""
    assert load_key(file) is None
    assert not file.exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_key_that_was_made_is_loaded(file: Path, umask: int) -> None:
    """The key is 32 random bytes in a file of mode 0600, whatever the umask."""
    before = os.umask(umask)
    try:
        key = make_key(file)
    finally:
        os.umask(before)
    assert (32, key) == (len(key), load_key(file))
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert key != make_key(file.with_name("another"))


@pytest.mark.parametrize("content", [b"", b"short", bytes(31), bytes(33), bytes(100_000)])
def test_a_damaged_key_is_told(file: Path, content: bytes) -> None:
    """A key of another length is damaged: the error says so, and the file stays as it is."""
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(GrantError, match=f"{file} is damaged: {len(content)} bytes"):
        load_key(file)
    assert content == file.read_bytes()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_others_can_read_is_refused(file: Path, mode: int) -> None:
    """Any permission for others is refused, with the command that mends it."""
    make_key(file)
    file.chmod(mode)
    with pytest.raises(UnsafeFile) as caught:
        load_key(file)
    assert f"run: chmod 600 {file}" == caught.value.hint
    file.chmod(0o600)
    assert load_key(file) is not None


def test_a_link_to_a_key_is_refused(file: Path) -> None:
    """A symbolic link is refused even where it leads to a good key of ours."""
    key = make_key(file)
    link = file.with_name("link")
    link.symlink_to(file)
    with pytest.raises(UnsafeFile, match="symbolic link"):
        load_key(link)
    assert key == load_key(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_somebody_else_is_refused(file: Path) -> None:
    """A key that belongs to another user may be known to them."""
    make_key(file)
    os.chown(file, SOMEBODY, SOMEBODY)
    with pytest.raises(UnsafeFile, match=f"belongs to another user .uid {SOMEBODY}"):
        load_key(file)


@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused(file: Path) -> None:
    """A FIFO in the key's place is refused, not waited for."""
    os.mkfifo(file, 0o600)
    with pytest.raises(UnsafeFile):
        load_key(file)
