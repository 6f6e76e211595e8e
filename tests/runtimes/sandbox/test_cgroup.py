"""Where control groups can be made, on machines of every kind: trees in a directory stand for the
kernel's. What a group does to a box is shown in tests/attacks/test_limit_attacks.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moat.core.limits import Limits
from moat.runtimes.sandbox import cgroup
from moat.runtimes.sandbox.cgroup import Group, Hierarchy, Place, hierarchies, places

WANTED = frozenset({"memory", "pids"})
V1 = """\
24 19 0:22 / /sys rw,relatime - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""
MEMBER = """\
8:pids:/
4:memory:/docker/abc/below
2:cpu,cpuacct:/user.slice
1:name=systemd:/
0::/init.scope
"""


def test_version_1_has_a_hierarchy_a_controller() -> None:
    """Each where it is mounted, our own group below what of it is mounted there."""
    found = {each.controllers: each for each in hierarchies(V1, MEMBER)}

    assert Path("/sys/fs/cgroup/memory/below") == found[frozenset({"memory"})].own
    assert Path("/sys/fs/cgroup/pids") == found[frozenset({"pids"})].own
    assert Path("/sys/fs/cgroup/cpu,cpuacct/user.slice") == found[frozenset({"cpu"})].own
    assert Path("/sys/fs/cgroup/unified/init.scope") == found[frozenset()].own
    assert [1, 1, 1, 2] == sorted(each.version for each in found.values())


def test_version_2_is_one_tree() -> None:
    """A blank in the path of its mount is written in octal."""
    (found,) = hierarchies(r"30 1 0:26 / /c\040g rw - cgroup2 cgroup2 rw", "0::/user.slice/a.scope")
    own, top = Path("/c g/user.slice/a.scope"), Path("/c g")
    assert Hierarchy(2, frozenset(), own, top) == found


@pytest.mark.parametrize("path", ["/../outside", "/elsewhere"])
def test_a_group_that_is_not_mounted_is_none(path: str) -> None:
    """In a container our group may lie outside of what is to be seen."""
    assert [] == hierarchies("30 1 0:26 /here /c rw - cgroup2 cgroup2 rw", f"0::{path}")


def tree(root: Path, *below: str, controllers: str = "cpu memory pids", enabled: str = "") -> Path:
    """A group with the files of version 2."""
    directory = root.joinpath(*below)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cgroup.procs").touch()
    (directory / "cgroup.controllers").write_text(controllers)
    (directory / "cgroup.subtree_control").write_text(enabled)
    return directory


def test_beside_our_own_group_where_that_was_given_to_us(tmp_path: Path) -> None:
    """A desktop's: the group above ours is ours as well, and gives controllers to its children."""
    root = tree(tmp_path)
    slice_ = tree(root, "user@1000.service", "app.slice", enabled="memory pids")
    own = tree(slice_, "terminal.scope", controllers="memory pids")
    (own / "cgroup.subtree_control").unlink()  # as one that has processes: it takes no +memory
    found = places([Hierarchy(2, frozenset(), own, root)], WANTED)
    assert [Place(2, slice_, WANTED)] == found


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_not_where_nobody_gave_us_anything(tmp_path: Path) -> None:
    """A session over ssh: neither its group nor what is above it is ours."""
    own = tree(tmp_path, "session-1.scope", enabled="memory pids")
    own.chmod(0o555)
    tmp_path.chmod(0o555)
    assert [] == places([Hierarchy(2, frozenset(), own, tmp_path)], WANTED)


def test_no_group_where_none_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of either version, as whoever."""
    monkeypatch.setattr(cgroup, "_writable", lambda directory: False)
    own = tree(tmp_path, "a.scope", enabled="memory pids")
    assert [] == places([Hierarchy(2, frozenset(), own, tmp_path)], WANTED)
    assert [] == places([Hierarchy(1, frozenset({"memory"}), own, tmp_path)], WANTED)


def test_each_controller_where_it_is(tmp_path: Path) -> None:
    """One that version 1 has is not looked for in version 2."""
    memory = tree(tmp_path, "memory")
    unified = tree(tmp_path, "unified", controllers="pids", enabled="pids")
    found = places(
        [
            Hierarchy(2, frozenset(), unified, unified),
            Hierarchy(1, frozenset({"memory"}), memory, memory),
        ],
        WANTED,
    )
    expected = [
        Place(1, memory, frozenset({"memory"})),
        Place(2, unified, frozenset({"pids"})),
    ]
    assert expected == found


class Kernel:
    """Makes the files of a group when its directory is made, as the kernel does."""

    FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
        def mkdir(path: Path, mode: int = 0o777) -> None:
            os.mkdir(path, mode)  # noqa: PTH102
            for name in ("cgroup.procs", *self.FILES):
                if name not in missing:
                    (path / name).touch()

        monkeypatch.setattr(Path, "mkdir", mkdir)


def test_limits_are_written_as_version_2_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a processor is half of each tenth of a second; swap is no way around."""
    Kernel(monkeypatch)
    every = frozenset({"memory", "pids", "cpu"})
    limits = Limits(memory=1 << 26, processes=64, cpus=0.5)
    group = Group([Place(2, tmp_path, every)], limits, "r1")
    (leaf,) = tmp_path.iterdir()
    assert leaf.name.startswith(f"moat-r1-{os.getpid()}-")
    said = {name: (leaf / name).read_text() for name in Kernel.FILES}
    assert {
        "memory.max": str(1 << 26),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "64",
        "cpu.max": "50000 100000",
    } == said
    assert {"memory": "cgroup v2", "processes": "cgroup v2", "cpus": "cgroup v2"} == group.held
    assert [leaf / "cgroup.procs"] == group.doors


def test_a_limit_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told of a limit that does not hold; a kernel without swap is fine."""
    Kernel(monkeypatch, "memory.swap.max")
    Group([Place(2, tmp_path, frozenset({"memory"}))], Limits(memory=1 << 26), None)
    Kernel(monkeypatch, "memory.max")
    with pytest.raises(FileNotFoundError):
        Group([Place(2, tmp_path, frozenset({"memory"}))], Limits(memory=1 << 26), None)


def test_counters_are_read_in_both_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kills for want of memory, and processes that were refused."""
    Kernel(monkeypatch)
    group = Group([Place(2, tmp_path, WANTED)], Limits(memory=1 << 26, processes=64), None)
    assert (0, 0) == (group.oom_kills(), group.refused())
    (leaf,) = tmp_path.iterdir()
    (leaf / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n")
    (leaf / "pids.events").write_text("max 12\n")
    (leaf / "pids.current").write_text("64\n")
    assert (1, 12, 64) == (group.oom_kills(), group.refused(), group.processes())
