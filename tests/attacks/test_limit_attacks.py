"""A fork bomb, a memory hog and a disk filler end the run, and not the host.

Each attack is bounded by itself: were no guard there, it would come to its end and say so. It is
made by root with control groups and without, and by somebody without any rights with limits of the
kernel for each process and with groups that were given to them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moat.core.limits import Limits
from moat.runtimes.sandbox.cgroup import Group, find_places, remove_leftovers
from support.processes import wait_gone, wait_until
from support.users import User

pytestmark = pytest.mark.attack

DRIVER = (Path(__file__).parent / "limiting.py").read_text()
MIB = 1 << 20
ALL_OFF = ("cgroup", "rlimit", "watch", "size")
_serial = itertools.count()


@dataclass(frozen=True)
class Way:
    """One of the ways limits are held: who makes the box, and what they do without."""

    user: User
    off: tuple[str, ...] = ()
    doors: tuple[Path, ...] = ()  # of groups that were given to them

    def start(self, *command: str, off: tuple[str, ...] = (), **more: Any) -> subprocess.Popen[str]:
        """Start a box and who watches over it."""
        limits = {key: more.pop(key) for key in Limits._fields if key in more}
        document = {
            "place": str(self.user.new_directory()),
            "limits": limits,
            "command": command,
            "off": [*self.off, *off],
            **more,
        }
        python = [*self.user.become, str(self.user.python), "-c", DRIVER, json.dumps(document)]
        join = 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"'
        return subprocess.Popen(
            ["sh", "-c", join, "sh", *map(str, self.doors), "--", *python],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, off: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        """Run a command in a box to its end, and say how that was."""
        started = self.start(*command, off=off, **more)
        try:
            out, err = started.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            started.kill()  # the box dies with it
            started.communicate()
            raise
        assert started.returncode == 0, err
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


WAYS = ("root-cgroup", "root-watched", "user-rlimit", "user-cgroup")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, users: dict[str, User]) -> Iterator[Way]:
    """Every way there is on this machine."""
    who, how = request.param.split("-")
    if who == "root" and "root" not in users:
        pytest.skip("the tests are not run by root")
    user = users["root" if who == "root" else "unprivileged"]
    if how != "cgroup":
        yield Way(user, ("cgroup",))
        return
    if "root" not in users or {"memory", "pids", "cpu"} != controllers():
        pytest.skip("whoever runs the tests can make no groups here")
    with contextlib.ExitStack() as stack:
        doors = tuple(given_to(user, stack)) if who == "user" else ()
        yield Way(user, doors=doors)


def controllers() -> set[str]:
    return {name for place in find_places({"memory", "pids", "cpu"}) for name in place.controllers}


def given_to(user: User, stack: contextlib.ExitStack) -> Iterator[Path]:
    """Groups of version 1 that belong to a user, as the doors for the user to go in by."""
    for place in find_places({"memory", "pids", "cpu"}):
        if place.version != 1:
            pytest.skip("a part of version 2 is given away by a service manager")
        directory = place.directory / f"test-limits-{os.getpid()}-{next(_serial)}"
        directory.mkdir()
        stack.callback(directory.rmdir)
        user.own(directory, directory / "cgroup.procs")
        yield directory / "cgroup.procs"


def test_each_way_is_what_it_says(way: Way, request: pytest.FixtureRequest) -> None:
    """Or the other tests would show less than they seem to."""
    said = way.run("true", memory=64 * MIB, processes=64, disk=16 * MIB, files=100)
    expected = {
        "root-cgroup": {"memory": "cgroup v", "processes": "cgroup v"},
        "root-watched": {"memory": "watched", "processes": "watched"},
        "user-rlimit": {"memory": "watched", "processes": "rlimit"},
        "user-cgroup": {"memory": "cgroup v1", "processes": "cgroup v1"},
    }[request.node.callspec.params["way"]]
    for name, how in expected.items():
        assert said["held"][name].startswith(how)
    assert ("tmpfs", "rlimit") == (said["held"]["disk"], said["held"]["files"])
    assert (0, None, []) == (said["code"], said["exceeded"], said["met"])
    assert said["strangers"] in ([], None)


# Processes.

# At most 300 at a time, for 20 seconds: it does not give up when it is refused one.
FORK_BOMB = """
import os, time
end, made = time.monotonic() + 20, 0
while time.monotonic() < end and made < 300:
    try:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        made += 1
    except BlockingIOError:
        time.sleep(0.01)
print(made, flush=True)
time.sleep(3)
"""


def test_a_fork_bomb_ends_the_run(way: Way) -> None:
    """Whoever keeps starting processes is ended, and it is told why."""
    said = way.run("python3", "-c", FORK_BOMB, processes=64)

    assert ("processes", "") == (said["exceeded"], said["out"])
    assert "it had more processes than the 64 it may" == said["text"]
    assert said["took"] < 20


def test_the_kernel_alone_keeps_the_number(way: Way) -> None:
    """Whether or not anybody looks: there are never more than there may be."""
    if "root" in way.user.name and "cgroup" in way.off:
        pytest.skip("the kernel does not, here: root is bound by no rlimit")
    bomb = FORK_BOMB.replace("+ 20", "+ 2")
    said = way.run("python3", "-c", bomb, processes=64, off=("watch",))
    assert 32 < int(said["out"]) < 64


def test_threads_count_too(way: Way) -> None:
    """They cost the host what processes do."""
    script = """
import threading, time
for _ in range(300):
    while True:
        try:
            threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
            break
        except RuntimeError:
            time.sleep(0.01)
print("300", flush=True)
time.sleep(3)
"""
    said = way.run("python3", "-c", script, processes=64)
    assert ("processes", "") == (said["exceeded"], said["out"])


def test_a_fork_bomb_without_guards_goes_off(way: Way) -> None:
    """The twin."""
    said = way.run("python3", "-c", FORK_BOMB, processes=64, off=ALL_OFF)
    assert (None, "300\n") == (said["exceeded"], said["out"])


def test_a_process_that_could_not_be_started_is_told_and_ends_nothing(way: Way) -> None:
    """A program that was refused one and goes on with what it has is a sane one."""
    if "root" in way.user.name and "cgroup" in way.off:
        pytest.skip("nobody refuses a process here; the box is ended for the first too many")
    script = """
import os, time
made = []
try:
    while len(made) < 300:
        made.append(os.fork())
        if made[-1] == 0:
            time.sleep(20)
            os._exit(0)
except BlockingIOError:
    print("refused", flush=True)
for pid in made:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
time.sleep(2.5)
print("done", flush=True)
"""
    said = way.run("python3", "-c", script, processes=64)
    assert (0, None, "refused\ndone\n") == (said["code"], said["exceeded"], said["out"])
    if "cgroup" not in way.off:  # else nobody counts what was refused
        assert ["processes"] == said["met"]


def test_the_processes_of_one_box_are_not_those_of_another(way: Way) -> None:
    """Two at a time may have as many as one alone."""
    script = FORK_BOMB.replace("300", "40")
    first = way.start("python3", "-c", script, processes=64)
    try:
        second = way.run("python3", "-c", script, processes=64)
        said = json.loads(first.communicate(timeout=60)[0].splitlines()[-1])
    finally:
        first.kill()
    for each in (said, second):
        assert (0, None, "40\n") == (each["code"], each["exceeded"], each["out"])


# Memory.

# At most 512 MiB, in pieces, and then it holds them for a while.
HOG = """
import time
held = []
for _ in range(64):
    held.append(bytearray(8 << 20))
print("had them", flush=True)
time.sleep(3)
"""
# The same in eight processes, none of which has more than may be had.
HOGS = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(32 << 20)
        time.sleep(10)
        os._exit(0)
time.sleep(5)
print("had them", flush=True)
"""
# As files in memory.
FILED = """
import time
with open("/tmp/file", "wb") as file:
    for _ in range(32):
        file.write(bytes(8 << 20))
print("had them", flush=True)
time.sleep(3)
"""


@pytest.mark.parametrize("hog", [HOG, HOGS, FILED], ids=["one", "many", "filed"])
def test_a_memory_hog_ends_the_run(way: Way, hog: str) -> None:
    """By itself, together, or with files that lie in memory."""
    said = way.run("python3", "-c", hog, memory=64 * MIB)

    assert ("memory", "") == (said["exceeded"], said["out"])
    assert "it used more memory than the 64 MiB it may" == said["text"]


@pytest.mark.parametrize("hog", [HOG, HOGS, FILED], ids=["one", "many", "filed"])
def test_a_memory_hog_without_guards_has_its_fill(way: Way, hog: str) -> None:
    """The twin."""
    said = way.run("python3", "-c", hog, memory=64 * MIB, off=ALL_OFF)
    assert (0, None, "had them\n") == (said["code"], said["exceeded"], said["out"])


def test_the_kernel_alone_keeps_the_memory(way: Way) -> None:
    """Where it counts: the hog is ended before anybody has looked."""
    if "cgroup" in way.off:
        pytest.skip("the kernel does not, without a group")
    said = way.run("python3", "-c", HOG, memory=64 * MIB, off=("watch",))
    assert (137, "") == (said["code"], said["out"])


def test_memory_that_is_shared_counts_once(way: Way) -> None:
    """Eight processes with the same 40 MiB have 40 MiB."""
    script = """
import os, time
held = bytearray(40 << 20)
for _ in range(8):
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
time.sleep(2)
print("had it", flush=True)
"""
    said = way.run("python3", "-c", script, memory=128 * MIB)
    assert (0, None, "had it\n") == (said["code"], said["exceeded"], said["out"])


# What many share is large, and slow to look at; behind it, one takes more than it may.
BEHIND = """
import mmap, os, time
def touched(size):
    return mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
shared = touched(300 << 20)
for _ in range(250):
    if os.fork() == 0:
        shared[::4096]
        time.sleep(40)
        os._exit(0)
time.sleep(3)
held = touched(640 << 20)
print("has them", flush=True)
time.sleep(8)
print("had them", flush=True)
"""


def test_nobody_hides_behind_what_many_share(way: Way) -> None:
    """However long a look at all of it would take."""
    said = way.run("python3", "-c", BEHIND, memory=400 * MIB)
    assert "memory" == said["exceeded"]
    assert "had them" not in said["out"]


# Disk.

FILLER = """
import time
def fill(path, most):
    with open(path, "wb", 0) as file:
        for _ in range(most):
            file.write(bytes(1 << 20))
for path in PLACES:
    try:
        fill(path + "/file", 64 // len(PLACES))
    except OSError as error:
        print(error.strerror, flush=True)
        time.sleep(20)
print("wrote it", flush=True)
time.sleep(3)
"""
ONE = "PLACES = ['/tmp']\n"
SPREAD = "PLACES = ['/tmp', '/var/tmp', '/run', '/home/agent', '/dev/shm']\n"


@pytest.mark.parametrize("places", [ONE, SPREAD], ids=["one", "spread"])
def test_a_disk_filler_ends_the_run(way: Way, places: str) -> None:
    """What it may write is one amount, wherever it writes it."""
    said = way.run("python3", "-c", places + FILLER, disk=16 * MIB)
    assert said["exceeded"] == "disk"
    assert places == SPREAD or "No space left on device\n" == said["out"]
    assert "than the 16 MiB that its private directories" in said["text"]


@pytest.mark.parametrize("places", [ONE, SPREAD], ids=["one", "spread"])
def test_a_disk_filler_without_guards_fills_it(way: Way, places: str) -> None:
    """The twin."""
    said = way.run("python3", "-c", places + FILLER, disk=16 * MIB, off=ALL_OFF)
    assert (0, None, "wrote it\n") == (said["code"], said["exceeded"], said["out"])


def test_a_filler_that_fails_at_once_is_told_why(way: Way) -> None:
    """Also when the command has ended before anybody looked."""
    script = "head -c 64m /dev/zero >/tmp/file"
    said = way.run("sh", "-c", script, disk=16 * MIB)
    assert (1, "disk") == (said["code"], said["exceeded"])


def test_who_makes_room_goes_on(way: Way) -> None:
    """A full disk that is emptied again is no reason to end a run."""
    script = "head -c 64m /dev/zero >/tmp/file; rm /tmp/file; sleep 2; echo done"
    said = way.run("sh", "-c", script, disk=16 * MIB)
    assert (0, None, "done\n") == (said["code"], said["exceeded"], said["out"])


def test_no_memory_is_a_disk_nobody_counts(way: Way) -> None:
    """Every place that can be written to is the workspace, or one that has a size."""
    script = """
find / -path '/proc/[0-9]*' -prune -o -type d -writable -print 2>/dev/null | while read -r place; do
    echo "$place $(stat -f -c '%T %b %S' "$place")"
done
"""
    said = way.run("sh", "-c", script, disk=16 * MIB)
    found = {place: rest for place, *rest in map(str.split, said["out"].splitlines())}
    workspace, terminals = found.pop("/workspace"), found.pop("/dev/pts")
    assert ("tmpfs", "devpts") != (workspace[0], terminals[0])
    assert set(found) == {"/tmp", "/var/tmp", "/run", "/home", "/home/agent", "/dev/shm"}
    for kind, blocks, size in found.values():
        assert ("tmpfs", 16 * MIB) == (kind, int(blocks) * int(size))


# Processors and files.


def test_processors_are_held_back(way: Way) -> None:
    """By the kernel, as it counts itself; where nothing can do it, the box is not made."""
    script = "end=$(($(date +%s) + 2)); while [ $(date +%s) -le $end ]; do :; done"
    said = way.run("sh", "-c", script, cpus=0.5)
    if "cgroup" in way.off:
        assert "nothing on this machine can hold a run" in said["refused"]
        assert "--cpus none" in said["hint"]
    else:
        assert said["throttled"] > 0
        assert (0, None) == (said["code"], said["exceeded"])


def test_processors_without_a_limit_are_not(way: Way) -> None:
    """The twin: a group that says nothing of processors holds none back."""
    said = way.run("sh", "-c", "echo done", processes=64)
    assert (None, "done\n") == (said["throttled"], said["out"])


FILES = """
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
except (OSError, ValueError):
    resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1:] * 2)
files = []
try:
    while len(files) < 500:
        files.append(open("/dev/null"))
except OSError as error:
    print(error.strerror)
print(len(files) < 100)
"""


def test_files_are_limited(way: Way) -> None:
    """Whatever a process tries to have more."""
    said = way.run("python3", "-c", FILES, files=100)
    assert ("Too many open files\nTrue\n", None) == (said["out"], said["exceeded"])


def test_files_without_a_guard_are_not(way: Way) -> None:
    """The twin."""
    said = way.run("python3", "-c", FILES, files=100, off=ALL_OFF)
    assert "False\n" == said["out"]


# Ordinary work, and what is left.

WORK = """
set -e
cd /tmp && git init -q repository && cd repository
echo text >file && git add file
git -c user.name=a -c user.email=a@b.c commit -q -m message && git log --oneline | wc -l
python3 -c '
from concurrent.futures import ThreadPoolExecutor
print(sum(ThreadPoolExecutor(8).map(int, range(9))))
'
if command -v node >/dev/null; then node -e 'console.log([1, 2].map(x => x * 2).join())'; fi
ls -d /tmp/repository
"""


def test_ordinary_work_goes_on_under_limits(way: Way) -> None:
    """git, Python and Node.js, with no more than they need."""
    limits = {"memory": 512 * MIB, "processes": 100, "disk": 64 * MIB, "files": 1024}
    said = way.run("sh", "-c", WORK, **limits)
    node = "2,4\n" if shutil.which("node", path="/usr/bin:/bin") else ""
    assert (0, f"1\n36\n{node}/tmp/repository\n") == (said["code"], said["out"]), said["err"]
    assert (None, []) == (said["exceeded"], said["met"])


def leaves(run: str) -> list[Path]:
    return [
        leaf
        for place in find_places({"memory", "pids"})
        for leaf in place.directory.glob(f"moat-{run}-*")
    ]


@pytest.mark.parametrize("way", ["root-cgroup"], indirect=True)
def test_a_group_is_gone_with_its_box(way: Way) -> None:
    """It is there while the box is, and no longer."""
    run = f"r{os.getpid()}a"
    started = way.start("sleep", "2", run=run, processes=64, memory=64 * MIB)
    assert started.stdout is not None
    assert "up" in started.stdout.readline()
    there = len(leaves(run))
    started.communicate(timeout=60)
    assert (True, []) == (there >= 1, leaves(run))


@pytest.mark.parametrize("way", ["root-cgroup"], indirect=True)
def test_what_a_killed_supervisor_leaves_can_be_removed(way: Way) -> None:
    """But not the group of a run that lives, nor one whose maker does."""
    run, token = f"r{os.getpid()}b", f"6{os.getpid()}.5"
    started = way.start("sleep", token, run=run, processes=64, memory=64 * MIB)
    assert started.stdout is not None
    pid = json.loads(started.stdout.readline())["up"]
    remove_leftovers(())
    assert leaves(run)
    os.kill(pid, signal.SIGKILL)
    started.communicate(timeout=60)
    wait_gone(token)
    remove_leftovers({run})
    assert leaves(run)
    remove_leftovers(())
    assert [] == leaves(run)


@pytest.mark.parametrize("way", ["root-cgroup"], indirect=True)
def test_a_group_ends_all_that_is_in_it(way: Way) -> None:
    """At once, whoever started it."""
    group = Group(find_places({"pids"}), Limits(processes=64), None)
    sleeping = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    try:
        for each in sleeping:
            group.join(each.pid)
        group.kill_all()
        assert [-signal.SIGKILL] * 3 == [each.wait(timeout=10) for each in sleeping]
    finally:
        for each in sleeping:
            each.kill()
        wait_until(group.remove, what="the group is empty")


@pytest.mark.parametrize("way", ["root-cgroup"], indirect=True)
def test_what_is_left_in_another_session_is_found(way: Way) -> None:
    """Its supervisor died in a group that is not ours; one whose maker lives stays."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    (place, *_) = find_places({"pids"})
    session = place.directory / f"test-session-{os.getpid()}"
    left, kept = (session / f"moat-r1-{pid}-0" for pid in (gone.pid, os.getpid()))
    for directory in (session, left, kept):
        directory.mkdir()
    try:
        remove_leftovers(())
        assert [False, True] == [left.exists(), kept.exists()]
    finally:
        for directory in (left, kept, session):
            with contextlib.suppress(FileNotFoundError):
                directory.rmdir()
