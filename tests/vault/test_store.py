"""What was put can be got, by whoever holds the key and by nobody else; nothing is ever lost."""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moat.core.secret import Secret
from moat.errors import GrantError, MoatError, UnsafeFile
from moat.vault.credential import Credential
from moat.vault.store import Store

PUTTING = Path(__file__).with_name("putting.py")
SECRET = "sk-0123456789abcdef-very-secret"
SOMEBODY = 54321


def credential(secret: str = SECRET, *, provider: str = "openai") -> Credential:
    return Credential(provider, Secret(secret), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "credentials"


@pytest.fixture
def store(directory: Path) -> Store:
    return Store(directory)


def file_of(directory: Path, provider: str = "openai") -> Path:
    return directory / "default" / f"{provider}.json"


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def refused(action: Callable[[], object], kind: type[MoatError] = GrantError) -> MoatError:
    """The refusal of an action; that it shows no secret is judged here for all of them."""
    with pytest.raises(kind) as caught:
        action()
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told + repr(caught.value) + str(caught.value.hint)
    return caught.value


def test_what_was_put_is_got(store: Store, directory: Path) -> None:
    """A credential comes back equal, from another store of the same directory too."""
    store.put(credential())
    assert credential() == store.get("openai") == Store(directory).get("openai")
    assert store.has("openai")


def test_a_newer_credential_replaces_the_older(store: Store, directory: Path) -> None:
    """There is one credential a provider, the last one put, and nothing besides it."""
    store.put(credential("sk-old"))
    store.put(credential())
    assert SECRET == store.get("openai").secret.reveal()
    assert {".lock", "vault.key", "default", "default/openai.json"} == names(directory)


def test_nothing_on_the_disk_shows_the_secret(store: Store, directory: Path) -> None:
    """No file holds the secret, as it is or in base64."""
    store.put(credential())
    for file in (path for path in directory.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert SECRET.encode() not in content
        assert base64.b64encode(SECRET.encode())[:16] not in content


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_everything_is_ours_alone_whatever_the_umask(directory: Path, umask: int) -> None:
    """Directories are 0700 and files 0600, the lock too."""
    before = os.umask(umask)
    try:
        Store(directory).put(credential())
    finally:
        os.umask(before)
    for path in (directory, *directory.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        if path.name != ".lock":
            assert (path, wanted) == (path, stat.S_IMODE(path.stat().st_mode))
        assert 0 == stat.S_IMODE(path.stat().st_mode) & 0o077


def test_without_a_grant_the_next_command_is_named(store: Store) -> None:
    """A missing credential is told with what to type, and looking makes nothing."""
    assert not store.has("openai")
    assert "run: moat grant openai" == refused(lambda: store.get("openai")).hint
    assert [] == store.list()


def test_a_credential_is_removed_once(store: Store) -> None:
    """Removing says whether there was something to remove."""
    store.put(credential())
    assert [True, False] == [store.remove("openai"), store.remove("openai")]
    assert not store.has("openai")


def test_removing_needs_no_key(store: Store, directory: Path) -> None:
    """What can no longer be opened can still be revoked."""
    store.put(credential())
    (directory / "vault.key").unlink()
    assert store.remove("openai")


BAD_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/x",
    "a\0b",
    "A",
    "a b",
    "-a",
    "a.json",
    "a" * 65,
    "é",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_is_never_a_path(directory: Path, name: str) -> None:
    """A provider or profile that is more than a plain name is refused by every action."""
    for store, provider in ((Store(directory), name), (Store(directory, profile=name), "openai")):
        for action in (store.get, store.has, store.remove):
            refused(lambda action=action, provider=provider: action(provider))  # type: ignore[misc]
        refused(lambda store=store, provider=provider: store.put(credential(provider=provider)))  # type: ignore[misc]
    assert not directory.exists()


@pytest.mark.parametrize("name", ["openai", "a", "0", "ssh_github-com", "a" * 64])
def test_plain_names_are_good(store: Store, name: str) -> None:
    """Small letters, digits, dash and underscore make a name."""
    store.put(credential(provider=name))
    assert name == store.get(name).provider


# what does not open


def test_swapped_files_do_not_open(store: Store, directory: Path) -> None:
    """A sealed file under another provider's name is refused; put back, it opens."""
    store.put(credential())
    store.put(credential("sk-other", provider="other"))
    file_of(directory).rename(directory / "kept")
    file_of(directory, "other").rename(file_of(directory))
    assert "moat grant openai" in str(refused(lambda: store.get("openai")).hint)
    file_of(directory).rename(file_of(directory, "other"))
    (directory / "kept").rename(file_of(directory))
    assert ["sk-other", SECRET] == [store.get(n).secret.reveal() for n in ("other", "openai")]


def test_another_profile_does_not_open(store: Store, directory: Path) -> None:
    """A sealed file moved into another profile is refused there."""
    store.put(credential())
    Store(directory, profile="work").put(credential("sk-work"))
    shutil.copy2(file_of(directory), directory / "work" / "openai.json")
    refused(lambda: Store(directory, profile="work").get("openai"))
    assert SECRET == store.get("openai").secret.reveal()


CHANGES: dict[str, Any] = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "no seal": b'{"format": 1}',
    "a seal that is no base64": b'{"format": 1, "sealed": "*"}',
    "a seal that is no text": b'{"format": 1, "sealed": 7}',
    "a format that is no number": b'{"format": "1", "sealed": ""}',
    "no UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("content", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_file_does_not_open(store: Store, directory: Path, content: bytes) -> None:
    """Whatever lies in the file, it is a refusal that names the file and the cure."""
    store.put(credential())
    file_of(directory).write_bytes(content)
    error = refused(lambda: store.get("openai"))
    assert str(file_of(directory)) in error.message
    assert "grant it again: moat grant openai" == error.hint
    store.put(credential())
    assert credential() == store.get("openai")


def test_a_newer_format_is_left_alone(store: Store, directory: Path) -> None:
    """What a newer Moat stored is told as that, and not as damage."""
    store.put(credential())
    document = json.loads(file_of(directory).read_text())
    file_of(directory).write_text(json.dumps({**document, "format": 2}))
    assert "was stored by a newer Moat" in refused(lambda: store.get("openai")).message


def test_another_key_does_not_open(store: Store, directory: Path) -> None:
    """With another key in the vault, its credentials are told to be closed to it."""
    store.put(credential())
    (directory / "vault.key").write_bytes(bytes(32))
    assert "another key" in refused(lambda: store.get("openai")).message


def test_a_lost_key_never_leads_to_a_second_one(store: Store, directory: Path) -> None:
    """With sealed files and no key, nothing is sealed: a new key would make the loss final."""
    store.put(credential())
    key = (directory / "vault.key").read_bytes()
    (directory / "vault.key").unlink()
    assert "is missing" in refused(lambda: store.get("openai")).message
    for provider in ("openai", "another"):
        error = refused(lambda provider=provider: store.put(credential(provider=provider)))  # type: ignore[misc]
        assert f"rm {file_of(directory)}" in str(error.hint)
    assert not (directory / "vault.key").exists()
    (directory / "vault.key").write_bytes(key)
    (directory / "vault.key").chmod(0o600)
    assert credential() == store.get("openai")


def test_a_lost_key_is_mended_as_the_hint_says(store: Store, directory: Path) -> None:
    """Doing what the hint says makes granting work again."""
    store.put(credential())
    (directory / "vault.key").unlink()
    hint = str(refused(lambda: store.put(credential())).hint)
    subprocess.run(hint.partition("sealed: ")[2], shell=True, check=True)
    store.put(credential("sk-new"))
    assert "sk-new" == store.get("openai").secret.reveal()


def test_a_damaged_key_is_not_replaced(store: Store, directory: Path) -> None:
    """A key of the wrong length is told, by putting too, and stays for a backup to be compared."""
    store.put(credential())
    (directory / "vault.key").write_bytes(b"half")
    for action in (lambda: store.put(credential("sk-x")), lambda: store.get("openai")):
        assert "is damaged" in refused(action).message
    assert b"half" == (directory / "vault.key").read_bytes()


@pytest.mark.parametrize("name", [".", "vault.key", "default", "default/openai.json"])
def test_what_others_can_read_is_refused(store: Store, directory: Path, name: str) -> None:
    """A directory, the key or a sealed file open to others is refused, with the chmod."""
    store.put(credential())
    path = directory / name
    good = stat.S_IMODE(path.stat().st_mode)
    path.chmod(good | 0o040)
    error = refused(lambda: store.get("openai"), UnsafeFile)
    assert f"run: chmod {good:o} {path}" == error.hint
    path.chmod(good)
    assert credential() == store.get("openai")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", [".", "vault.key", "default", "default/openai.json"])
def test_what_belongs_to_others_is_refused(store: Store, directory: Path, name: str) -> None:
    """Nothing of another user's is read."""
    store.put(credential())
    os.chown(directory / name, SOMEBODY, SOMEBODY)
    assert "belongs to another user" in refused(lambda: store.get("openai"), UnsafeFile).message


@pytest.mark.parametrize("name", ["vault.key", "default", "default/openai.json"])
def test_links_are_refused(store: Store, directory: Path, name: str) -> None:
    """Nothing is read through a symbolic link."""
    store.put(credential())
    path = directory / name
    path.rename(directory / "moved")
    path.symlink_to(directory / "moved")
    assert "symbolic link" in refused(lambda: store.get("openai"), UnsafeFile).message


# listing


def test_the_list_has_what_cannot_be_opened_too(store: Store, directory: Path) -> None:
    """One bad file hides no other: each is listed, the bad ones with their problem."""
    for name in ("a", "b", "c"):
        store.put(credential(provider=name))
    file_of(directory, "b").write_text("{}")
    file_of(directory, "c").chmod(0o644)
    (directory / "default" / "Odd Name.json").write_text("{}")
    odd, a, b, c = store.list()
    assert ("a", credential().created_at, None) == (a.provider, a.created_at, a.problem)
    assert "cannot be opened" in str(b.problem)
    assert "open to other users" in str(c.problem)
    assert "not a name" in str(odd.problem)


def test_an_open_directory_is_told_once(store: Store, directory: Path) -> None:
    """Where the directory itself is open to others, that is the answer, not a list of problems."""
    store.put(credential())
    directory.chmod(0o755)
    assert f"run: chmod 700 {directory}" == refused(store.list, UnsafeFile).hint
    directory.chmod(0o700)
    assert ["openai"] == [item.provider for item in store.list()]


# crashes and crowds


def test_a_crash_while_writing_leaves_the_old(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the rename never happens the old credential stands, and no half file lies about."""
    store.put(credential("sk-old"))
    before = names(directory)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", dies)
    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        store.put(credential())
    monkeypatch.undo()
    assert before == names(directory)
    assert "sk-old" == store.get("openai").secret.reveal()
    store.put(credential())
    assert SECRET == store.get("openai").secret.reveal()


def test_a_disk_that_is_full_is_told_and_loses_nothing(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the system names the grant and the cure; the old credential stands."""
    store.put(credential("sk-old"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = refused(lambda: store.put(credential()))
    assert "cannot be stored" in error.message
    assert "No space left on device" in error.message
    assert "df -h" in str(error.hint)
    monkeypatch.undo()
    assert "sk-old" == store.get("openai").secret.reveal()


def test_processes_that_put_at_once_share_one_key(directory: Path) -> None:
    """However many begin at once with nothing there, each credential opens afterwards."""
    turns = 5
    processes = [
        subprocess.Popen(
            [sys.executable, str(PUTTING), str(directory), name, str(turns)],
            stdin=subprocess.PIPE,
        )
        for name in ("same", "same", "other")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.close()
    assert [0, 0, 0] == [process.wait(60) for process in processes]
    store = Store(directory)
    assert [None, None] == [item.problem for item in store.list()]
    assert f"sk-other-{turns - 1}" == store.get("other").secret.reveal()
    assert f"sk-same-{turns - 1}" == store.get("same").secret.reveal()
    left = {".lock", "vault.key", "default", "default/same.json", "default/other.json"}
    assert left == names(directory)
