"""Whatever dies, hangs, fills up or is replaced: nothing is left over, and nothing is corrupt."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import moat
from support.cli import Cli
from support.processes import (
    children,
    descendants,
    is_alive,
    processes_with,
    wait_gone,
    wait_until,
)
from support.pty import Terminal
from support.runs import ending_all, inheriting, orphans, start_in_background, supervisors_of

pytestmark = pytest.mark.attack

SECRETIVE = [".live-", ".new-", ".old-"]


@pytest.fixture
def person(user_cli: Cli) -> Iterator[Cli]:
    """The command line of a user; what it has left running is ended with the test."""
    with ending_all(user_cli):
        yield user_cli


@pytest.fixture
def root_person(cli: Cli) -> Iterator[Cli]:
    """The same, where it does not matter who that is."""
    with ending_all(cli):
        yield cli


def leftovers(cli: Cli) -> list[str]:
    """What of runs should not be there once they have ended."""
    runs = cli.home / "runs"
    found = [str(path) for name in ("stage", "control") for path in runs.glob(f"*/{name}")]
    found += [path.name for path in runs.iterdir() if path.name.startswith(tuple(SECRETIVE))]
    groups = [path.name for path in Path("/sys/fs/cgroup").rglob("moat-*") if path.is_dir()]
    ids = {run["run"] for run in cli.runs()}
    return found + [name for name in groups if name.split("-")[1] in ids]


# a supervisor that is killed


def test_a_supervisor_killed_at_any_moment_leaves_nothing(person: Cli) -> None:
    """Thirty moments of a start: no process, mount, group or socket once the next has begun."""
    mounts = Path("/proc/self/mountinfo").read_text()
    token = uuid.uuid4().hex
    known = set(descendants(os.getpid()))
    with inheriting():
        for number in range(30):
            with person.started("run", "--", "sh", "-c", f"sleep 300; : {token}") as client:
                wait_until(lambda: children(client.pid), what="the supervisor was forked")
                (supervisor,) = children(client.pid)
                if number < 15:
                    time.sleep(number * 0.03)
                else:  # where it makes the box, which is but a moment
                    wait_until(partial(children, supervisor), what="bubblewrap was started")
                    time.sleep((number - 15) * 0.002)
                os.kill(supervisor, signal.SIGKILL)
                _, err = client.communicate(timeout=20)
                assert 1 == client.returncode
                assert "supervisor died" in err
                wait_gone(token)
        assert {"lost"} >= {run["state"] for run in person.runs()}
        lost = [run["run"] for run in person.runs()]
        assert len(lost) >= 15
        done = person.run("run", "--", "echo", "fine")
        assert (0, "fine\n") == (done.returncode, done.stdout)
        wait_until(lambda: not orphans(known), what="no process is left")
    assert mounts == Path("/proc/self/mountinfo").read_text()
    assert [] == leftovers(person)
    for run in lost:
        assert "lost" == json.loads((person.home / "runs" / run / "run.json").read_text())["state"]
        assert [] == person.json("trace", run)
        for command in ("receipt", "logs", "events"):
            assert 0 == person.run(command, run).returncode


def test_a_trace_is_readable_up_to_its_last_commit(person: Cli) -> None:
    """Of a supervisor killed among requests: each that was answered is there."""
    ask = "curl -s -o /dev/null -w '%{http_code}\\n' https://nobody.example.com/"
    script = f"n=0; while :; do {ask}$n; n=$((n+1)); done"
    with person.started("run", "--", "sh", "-c", script) as client:
        assert client.stdout is not None
        for _ in range(10):
            assert "403\n" == client.stdout.readline()
        time.sleep(1.5)
        (supervisor,) = supervisors_of(person)
        os.kill(supervisor, signal.SIGKILL)
        client.communicate(timeout=20)
    urls = {request["url"] for request in person.json("trace")}
    assert {f"https://nobody.example.com/{number}" for number in range(10)} <= urls


# a client that hangs, or does not read


COUNTS = "n=0; while [ ! -e go ]; do n=$((n+1)); echo $n > count; sleep 0.05; done; echo done"


def count(cli: Cli) -> int:
    """How far a command has come that counts."""
    try:
        return int((cli.workspace / "count").read_text() or 0)
    except FileNotFoundError:
        return 0


def test_a_client_that_hangs_holds_nobody_up(person: Cli) -> None:
    """Its run goes on, others look at it, and it is stopped like any other."""
    with person.started("run", "--", "sh", "-c", COUNTS) as client:
        wait_until(lambda: count(person), what="it counts")
        (run,) = (item["run"] for item in person.runs())
        client.send_signal(signal.SIGSTOP)
        before = count(person)
        wait_until(lambda: count(person) > before + 5, what="it goes on")
        with person.started("attach", "--watch", run) as watching:
            wait_until(
                lambda: (person.json("status", run)["live"] or {}).get("watchers") == 1,
                what="somebody watches",
            )
            done = person.run("stop", run, timeout=30)
            assert (0, f"{run}\n") == (done.returncode, done.stdout)
            watching.communicate(timeout=30)
        assert "stopped" == person.json("status", run)["state"]
        client.send_signal(signal.SIGCONT)
        client.communicate(timeout=30)
        assert 128 + signal.SIGTERM == client.returncode


PRINTS = "yes x | head -c 20000000"
MUCH = f"{PRINTS}; touch printed; while [ ! -e go ]; do sleep 0.1; done"


def test_a_terminal_that_hangs_holds_nobody_up_for_long(root_person: Cli) -> None:
    """A stopped client takes nothing; the run prints on, and somebody else takes over."""
    cli = root_person
    words = cli.command("run", "--", "sh", "-c", MUCH)
    with Terminal() as first, first.running(cli, *words) as client:
        first.wait_for(b"x\r\nx\r\n")
        client.send_signal(signal.SIGSTOP)
        wait_until((cli.workspace / "printed").exists, seconds=60, what="all was printed")
        with Terminal() as second, second.running(cli, *cli.command("attach")) as other:
            second.wait_for(b"\x1b[3;1Hx")
            (cli.workspace / "go").touch()
            assert 0 == second.wait(other)


def test_a_watcher_that_never_reads_holds_nobody_up(root_person: Cli) -> None:
    """Whoever started the run reads all of it, while another reads nothing."""
    script = f"while [ ! -e begin ]; do sleep 0.05; done; {PRINTS}"
    with root_person.started("run", "--", "sh", "-c", script) as client:
        wait_until(lambda: [r["state"] for r in root_person.runs()] == ["running"], what="it runs")
        wait_until(lambda: root_person.json("status")["live"], what="it answers")
        with root_person.started("attach", "--watch"):
            wait_until(
                lambda: (root_person.json("status")["live"] or {}).get("watchers") == 1,
                what="somebody watches",
            )
            (root_person.workspace / "begin").touch()
            out, _ = client.communicate(timeout=120)
            assert (0, 20_000_000) == (client.returncode, len(out))
            assert "stopped" == root_person.json("status")["state"]


def test_a_full_pipe_holds_up_the_command_and_not_its_end(person: Cli) -> None:
    """Nobody reads what it prints: it waits, as in any pipe, and is stopped all the same."""
    with person.started("run", "--", "sh", "-c", f"{MUCH}") as client:
        wait_until(lambda: [r["state"] for r in person.runs()] == ["running"], what="it runs")
        time.sleep(1)
        assert not (person.workspace / "printed").exists()
        assert 0 == person.run("stop", timeout=30).returncode
        assert "stopped" == person.runs()[0]["state"]
        client.communicate(timeout=30)


# a disk that is full


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=4m,mode=700 none "$MOAT_HOME" || exit 99
moat() { "$@"; }
"$@" run -- sh -c 'head -c 20000000 /dev/zero'  > printed 2> said; echo $? > code
"$@" list --json > listed
"$@" logs | wc -c > logged
"$@" trace > traced 2>&1; echo $? >> code
"$@" receipt > receipt 2>&1; echo $? >> code
"$@" clean --older-than 0 > cleaned 2>&1; echo $? >> code
"$@" run -- echo fine > again 2>&1; echo $? >> code
"""


def test_a_full_disk_ends_a_run_with_one_error(cli: Cli) -> None:
    """What it printed cannot be kept: it is ended, and what was kept is whole."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount a small disk")
    command = ["unshare", "-m", "sh", "-c", ON_A_SMALL_DISK, "sh", *cli.command()]
    with cli.started(command=command) as process:
        process.communicate(timeout=120)
    read = {path.name: path.read_text() for path in cli.workspace.iterdir()}
    assert "1" == read["code"].split()[0], read
    assert 1 == read["said"].count("moat: "), read["said"]
    assert "the transcript cannot be written" in read["said"]
    assert "No space left on device" in read["said"]
    (run,) = json.loads(read["listed"])
    assert run["state"] in ("failed", "lost")
    assert 1_000_000 < int(read["logged"])
    assert ["0", "0", "0", "0"] == read["code"].split()[1:], read
    assert "fine\n" == read["again"]


def test_a_file_that_may_not_grow_ends_a_run_with_one_error(person: Cli) -> None:
    """The same by the limit of whoever starts it; an ordinary user can have that."""
    limited = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", *person.command("run", "--")]
    with person.started(command=[*limited, "sh", "-c", "head -c 20000000 /dev/zero"]) as client:
        _, err = client.communicate(timeout=60)
    assert 1 == client.returncode
    assert 1 == err.count("moat: "), err
    assert "the transcript cannot be written" in err
    (run,) = person.runs()
    assert "failed" == run["state"]
    assert len(person.run("logs").stdout) <= 2048 * 1024
    assert [] == leftovers(person)


# many at once


def test_twenty_at_once_all_end_well(person: Cli) -> None:
    """Each with its own id and output, and nothing left of any."""
    with ThreadPoolExecutor(20) as pool:
        done = [*pool.map(lambda n: person.run("run", "--", "echo", str(n)), range(20))]
    assert [(0, f"{n}\n") for n in range(20)] == [(d.returncode, d.stdout) for d in done], done
    runs = person.runs()
    assert (20, {"stopped"}) == (len({r["run"] for r in runs}), {r["state"] for r in runs})
    assert [] == leftovers(person)


def test_a_start_goes_through_while_all_is_removed(person: Cli) -> None:
    """Again and again, all that has ended is removed; nothing of it is one that lives."""
    over = threading.Event()

    def clean() -> list[subprocess.CompletedProcess[str]]:
        done = []
        while not over.is_set():
            done.append(person.run("clean", "--older-than", "0"))
        return done

    with ThreadPoolExecutor(4) as pool:
        cleaning = [pool.submit(clean) for _ in range(2)]
        starting = pool.map(lambda n: person.run("run", "--", "echo", str(n)), range(16))
        done = [*starting]
        over.set()
        cleaned = [each for thread in cleaning for each in thread.result(60)]
    assert [(0, f"{n}\n", "") for n in range(16)] == [
        (d.returncode, d.stdout, d.stderr) for d in done
    ]
    assert {0} == {each.returncode for each in cleaned}, cleaned
    assert 0 == person.run("clean", "--older-than", "0").returncode
    removed = [run for each in cleaned for run in each.stdout.split()]
    assert len(removed) == len(set(removed))
    assert [] == person.runs()
    assert [] == [*(person.home / "runs").iterdir()]


# a package that is replaced


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_outlives_the_package_it_was_started_from(
    root_person: Cli, tmp_path: Path, *, terminal: bool
) -> None:
    """Removed while it runs: it is looked at, told things, asked, and ends as it should."""
    cli = root_person
    place = tmp_path / "site"
    shutil.copytree(next(iter(moat.__path__)), place / "moat")
    old = Cli(cli.home, cli.workspace, environment={"PYTHONPATH": str(place)})
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import moat; print(*moat.__path__)"],
        env=old.environ(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert f"{place}/moat\n" == where.stdout
    script = (
        "while [ ! -e go ]; do sleep 0.05; done; printf '\\033[31mred\\033[m\\n'; "
        "curl -s https://nobody.example.com/ > answer; while [ ! -e end ]; do sleep 0.05; done; "
        "echo more > made; exit 3"
    )
    if terminal:
        words = old.command("run", "--", "sh", "-c", script)
        with Terminal() as first, first.running(old, *words):
            wait_until(lambda: [r["state"] for r in cli.runs()] == ["running"], what="it runs")
            wait_until(lambda: cli.json("status")["live"], what="it answers")
            first.type(b"\x1fd")
            first.wait_for(b"goes on")
    else:
        start_in_background(old, "sh", "-c", script)
        wait_until(lambda: cli.json("status")["live"], what="it answers")
    (run,) = (item["run"] for item in cli.runs())
    time.sleep(3)  # in which the rest of Moat is loaded
    (place / "moat").rename(tmp_path / "gone")

    (cli.workspace / "go").touch()
    wait_until(lambda: len(cli.json("trace", run)) == 1, what="its request is answered")
    assert 0 == cli.run("allow", "a.example.com", "--run", run).returncode
    assert "running" == cli.json("status", run)["state"]
    wait_until((cli.workspace / "answer").exists, what="it was answered")
    if terminal:
        with Terminal() as second, second.running(cli, *cli.command("attach")) as client:
            second.wait_for(b"red")
            (cli.workspace / "end").touch()
            assert 3 == second.wait(client)
    else:
        done = cli.run("exec", "--", "echo", "hi")
        # What it takes to start one is gone, which is said.
        assert (1, "") == (done.returncode, done.stdout), done.stderr
        (cli.workspace / "end").touch()
        assert 3 == cli.run("wait", run).returncode
    assert "stopped" == cli.json("status", run)["state"]
    receipt = cli.json("receipt", run)
    assert "made" in receipt["files"]["added"]
    log = cli.home / "runs" / run / "supervisor.log"
    assert "Traceback" not in (log.read_text() if log.exists() else "")
    assert [] == leftovers(cli)


# a process of ours that is not


def test_a_process_with_the_number_of_a_supervisor_is_left_alone(root_person: Cli) -> None:
    """What a dead supervisor's file says is somebody else by now."""
    run = start_in_background(root_person, "sleep", "300")
    (supervisor,) = supervisors_of(root_person)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not is_alive(supervisor), what="it is dead")
    token = f"300.{uuid.uuid4().int}"
    with subprocess.Popen(["sleep", token]) as stranger:
        try:
            lock = root_person.home / "runs" / run / "lock"
            lock.write_text(f"{stranger.pid} 1\n")
            assert "has ended" in root_person.run("kill", run).stderr
            assert 0 == root_person.run("rm", "--force", run).returncode
            assert [stranger.pid] == processes_with(token)
        finally:
            stranger.kill()
