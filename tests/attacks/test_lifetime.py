"""A box never outlives what watches over it, however that ends."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from support.cli import REAL_KEY, Cli
from support.processes import children, descendants, is_alive, processes_with, wait_gone, wait_until
from support.users import User

pytestmark = pytest.mark.attack

# Writes the time down again and again, and lets no signal stop it that can be refused.
STAMP = """
trap '' HUP INT TERM
while :; do date +%s.%N >> "stamps-$1"; sleep 0.02; done
"""
# How long after a kill a box may still be seen: the kernel has to get round to it.
SOON = 1.5

# Moat with one guard gone, to show that it is this guard which the test sees.
LESS = """
import sys
import moat.runtimes.sandbox.argv as argv
whole = argv._isolation
argv._isolation = lambda descriptors: [o for o in whole(descriptors) if o != {option!r}]
import moat.run.supervising as supervising
import moat.runtimes.sandbox.cgroup as cgroup
# The second and the third net below the same fall.
supervising._end_what_is_left = lambda: None
cgroup._kill_all = lambda door, *, until: None
from moat.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


class Run:
    """A run that is watched from outside; `token` is in the arguments of all its processes."""

    def __init__(self, cli: Cli, client: subprocess.Popen[str], token: str) -> None:
        self.cli = cli
        self.client = client
        self.token = token
        self.stamps = cli.workspace / f"stamps-{token}"

    @property
    def supervisor(self) -> int:
        """The process that is the supervisor."""
        wait_until(lambda: children(self.client.pid), what="the supervisor was forked")
        return children(self.client.pid)[0]

    def wait_running(self) -> None:
        """Wait until the command does its work."""
        wait_until(self.stamps.exists, what="the command has started")

    def box(self) -> list[int]:
        """The processes below the supervisor."""
        return descendants(self.supervisor)

    def last_stamp(self) -> float:
        """When the command was last seen at work; 0 if never."""
        with suppress(FileNotFoundError):
            whole = self.stamps.read_text().rpartition("\n")[0]
            return float(whole.rpartition("\n")[2] or 0)
        return 0.0


@contextmanager
def stamping(cli: Cli, *, script: str = STAMP, command: list[str] | None = None) -> Iterator[Run]:
    """A run that works and works; what should be left of it at the end is killed."""
    token = f"run-{uuid.uuid4().hex}"
    arguments = ("run", "--", "/bin/sh", "-c", script, "sh", token)
    start = None if command is None else [*command, *arguments]
    try:
        with cli.started(*arguments, command=start) as client:
            yield Run(cli, client, token)
    finally:
        # The command line is gone by now, and a run does not end with it: its supervisor has the
        # same arguments.
        for pid in processes_with(token):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def state_of(run: Run) -> tuple[str, int | None]:
    (found,) = [item for item in run.cli.runs() if run.token in item["command"]]
    return found["state"], found["exit_code"]


def test_a_start_cut_short_starts_nothing(user: User) -> None:
    """Twenty supervisors killed at moments spread over the start: no command runs afterwards."""
    cli = user.cli()

    def cut_short(delay: float) -> tuple[float, float]:
        with stamping(cli) as run:
            supervisor = run.supervisor
            time.sleep(delay)
            os.kill(supervisor, signal.SIGKILL)
            killed = time.time()
            _, said = run.client.communicate(timeout=20)
            wait_gone(run.token)
            assert 1 == run.client.returncode
            assert "supervisor died" in said
            time.sleep(0.1)
            assert [] == processes_with(run.token)
            return killed, run.last_stamp()

    # Spread over a start on a quick machine, and two that are late on any.
    delays = [*(number * 0.025 for number in range(18)), 3.0, 4.0]
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(cut_short, delays))

    assert [] == [round(last - killed, 3) for killed, last in ended if last > killed + SOON]
    assert 0.0 in [last for _, last in ended]  # some were cut short before the command started
    assert any(last for _, last in ended)  # and some after it
    states = {run["state"] for run in cli.runs()}
    assert {"lost"} == states
    for file in (cli.home / "runs").rglob("*"):
        assert not file.is_file() or REAL_KEY.encode() not in file.read_bytes()


def test_a_killed_supervisor_takes_its_box_along(user_cli: Cli) -> None:
    """kill -9 of the supervisor: nothing of the box is left, and the record says `lost`."""
    with stamping(user_cli) as run:
        run.wait_running()
        box = run.box()
        assert len(box) >= 3  # bubblewrap twice, and the command
        os.kill(run.supervisor, signal.SIGKILL)
        killed = time.time()
        run.client.communicate(timeout=20)
        wait_gone(run.token)

        assert run.last_stamp() < killed + SOON
        assert not [pid for pid in box if is_alive(pid)]
        assert ("lost", None) == state_of(run)


def test_that_is_because_the_box_dies_with_its_parent(user_cli: Cli) -> None:
    """Without --die-with-parent the box goes on."""
    less = [*user_cli.python, "-P", "-c", LESS.format(option="--die-with-parent")]
    with stamping(user_cli, command=less) as run:
        run.wait_running()
        os.kill(run.supervisor, signal.SIGKILL)
        run.client.communicate(timeout=20)
        time.sleep(0.5)
        assert processes_with(run.token)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_run_outlives_its_client(user_cli: Cli, number: signal.Signals) -> None:
    """kill -9 or SIGHUP of the command line: the command works on, and nothing tells it to end."""
    with stamping(user_cli, script=STAMP.replace("HUP INT TERM", "")) as run:
        run.wait_running()
        supervisor = run.supervisor
        run.client.send_signal(number)
        run.client.communicate(timeout=20)
        went = time.time()

        wait_until(lambda: run.last_stamp() > went + 1, what="the command works on")
        assert is_alive(supervisor)
        wait_until(lambda: ("running", None) == state_of(run), what="its network is served")

        done = user_cli.run("stop", timeout=30)
        assert (0, "") == (done.returncode, done.stderr)
        assert [] == processes_with(run.token)
        assert not is_alive(supervisor)
        assert ("stopped", 128 + signal.SIGTERM) == state_of(run)


def test_a_run_that_was_left_ends_with_its_supervisor(user_cli: Cli) -> None:
    """With nobody there to look, a supervisor that dies takes the box along all the same."""
    with stamping(user_cli) as run:
        run.wait_running()
        supervisor = run.supervisor
        run.client.kill()
        run.client.communicate(timeout=20)
        os.kill(supervisor, signal.SIGKILL)
        wait_gone(run.token, seconds=SOON)
        assert ("lost", None) == state_of(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run(user_cli: Cli, number: signal.Signals) -> None:
    """A signal is passed on, and the exit code says which it was."""
    with stamping(user_cli, script='touch "stamps-$1"; exec sleep 300') as run:
        run.wait_running()
        run.client.send_signal(number)
        run.client.communicate(timeout=20)

        assert 128 + number == run.client.returncode
        wait_gone(run.token, seconds=1)
        assert ("stopped", 128 + number) == state_of(run)


def test_who_refuses_to_end_is_ended(cli: Cli) -> None:
    """A command that ignores every signal is gone some seconds after the first."""
    with stamping(cli) as run:
        run.wait_running()
        run.client.send_signal(signal.SIGTERM)
        began = time.monotonic()
        run.client.communicate(timeout=20)

        assert 128 + signal.SIGTERM == run.client.returncode
        assert time.monotonic() - began < 8
        wait_gone(run.token, seconds=1)
        assert ("stopped", 128 + signal.SIGTERM) == state_of(run)


DAEMON = f"""
(setsid sh -c '{STAMP}' sh "$1" < /dev/null > /dev/null 2>&1 &) &
setsid -f sh -c '{STAMP}' sh "$1" > /dev/null 2>&1
while [ ! -s "stamps-$1" ]; do sleep 0.05; done
exit 7
""".replace("trap '' HUP INT TERM", 'trap "" HUP INT TERM')


def test_daemons_end_with_the_command(user_cli: Cli) -> None:
    """What has forked away, to a session of its own, ignoring signals, is gone when moat is."""
    with stamping(user_cli, script=DAEMON) as run:
        run.client.communicate(timeout=20)

        assert [] == processes_with(run.token)
        assert 7 == run.client.returncode
        assert run.last_stamp() > 0
        assert ("stopped", 7) == state_of(run)


def test_that_is_because_they_share_a_process_namespace(user_cli: Cli) -> None:
    """Without --unshare-pid they live on."""
    less = [*user_cli.python, "-P", "-c", LESS.format(option="--unshare-pid")]
    with stamping(user_cli, script=DAEMON, command=less) as run:
        with suppress(subprocess.TimeoutExpired):
            run.client.communicate(timeout=3)
        assert processes_with(run.token)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (
            ("no-such-program-anywhere",),
            127,
            "there is no program no-such-program-anywhere in the box",
        ),
        (("/workspace",), 126, "Permission denied"),
        (("/bin/sh", "-c", "exit 42"), 42, ""),
        (("/bin/sh", "-c", "kill -9 $$"), 137, ""),
    ],
)
def test_exit_codes_are_those_of_a_shell(
    user_cli: Cli, command: tuple[str, ...], code: int, says: str
) -> None:
    """The command's own, 127 for none of that name, 126 for one that cannot be run."""
    done = user_cli.run("run", "--", *command)

    assert code == done.returncode
    assert says in done.stderr
    assert "stopped" == user_cli.runs()[0]["state"]
    assert not list(itertools.chain((user_cli.home / "runs").glob("*/stage")))
