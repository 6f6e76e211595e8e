"""What `moat doctor` says of limits: what a box that was made is held by."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.config.paths import Home
from moat.core.limits import LimitName, Limits
from moat.doctor.limits import check_limits, findings
from moat.runtimes.sandbox import limited

KERNEL: dict[LimitName, str] = {
    "wall": "the supervisor",
    "memory": "cgroup v2",
    "processes": "cgroup v2",
    "cpus": "cgroup v2",
    "disk": "tmpfs",
    "files": "rlimit",
}


def test_what_the_kernel_holds_is_told_in_one_line() -> None:
    """By what, in the words of the options."""
    (found,) = findings(KERNEL, systemd=True)
    assert ("ok", "limits") == (found.status, found.subject)
    assert (
        "held by timeout: the supervisor; memory, pids, cpus: cgroup v2; disk: tmpfs; files: rlimit"
        == found.detail
    )


@pytest.mark.parametrize(("systemd", "words"), [(True, "systemd-run"), (False, "control groups")])
def test_what_it_does_not_hold_is_a_warning(systemd: bool, words: str) -> None:
    """With what may be done about it."""
    held = {name: how for name, how in KERNEL.items() if name != "cpus"}
    ok, watched, unheld = findings(held | {"memory": "watched"}, systemd=systemd)
    assert "memory" not in ok.detail
    assert watched.detail.startswith("memory: watched by Moat")
    assert unheld.detail.startswith("cpus: nothing holds it")
    assert words in (watched.hint or "")


def test_a_box_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no group can be made, that shows."""
    said = [found.detail for found in check_limits(Home(tmp_path))]
    assert said[0].startswith("held by timeout: the supervisor; ")

    monkeypatch.setattr(limited, "find_places", lambda wanted: [])
    said = [found.detail for found in check_limits(Home(tmp_path))]
    assert any(detail.startswith("cpus: nothing holds it") for detail in said)
    assert any("watched by Moat" in detail for detail in said)
    assert set(KERNEL) == set(Limits._fields)
