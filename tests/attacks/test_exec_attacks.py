"""`moat exec` gives nothing to the box that its command has not got, nor a look at who enters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.runtimes.sandbox.execute import ENTER
from support.cli import REAL_KEY, Cli
from support.processes import wait_until

pytestmark = pytest.mark.attack

# Moat, entering boxes by a program that is nearly ours.
WITH = """
import sys
from pathlib import Path
import moat.runtimes.sandbox.execute as execute
execute.ENTER = Path({enter!r})
from moat.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
PROBES = {
    "status": "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status",
    "namespaces": "for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done",
    "descriptors": "ls /proc/self/fd",
    # The shell that is asked sets some by itself.
    "variables": "env | grep -vE '^(_|SHLVL|PWD|OLDPWD)=' | sort",
}


class Box:
    """A live run whose command has said what it has, and what an executed one has."""

    def __init__(self, cli: Cli, run: str) -> None:
        self._cli = cli
        self.run = run

    def own(self, probe: str) -> str:
        """What the command of the run has."""
        return (self._cli.workspace / f"own-{probe}").read_text()

    def executed(self, *command: str) -> str:
        """What an executed command says."""
        done = self._cli.run("exec", self.run, "--", *command)
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout


@contextlib.contextmanager
def box(cli: Cli, probe: str | None = None, *, enter: Path | None = None) -> Iterator[Box]:
    """A run whose command writes down what it has, and looks at whoever comes until it is done."""
    workspace = cli.workspace
    (workspace / "probe").write_text(PROBES[probe] if probe else "true")
    (workspace / "look.py").write_text(LOOK)
    script = f"sh probe > own-{probe}; exec python3 look.py"
    start = ["run", "-d", "--", "sh", "-c", script]
    command = cli.command(*start)
    if enter is not None:
        command = [*cli.python, "-P", "-c", WITH.format(enter=str(enter)), *start]
    with cli.started(command=command) as process:
        run, said = process.communicate(timeout=60)
    assert 0 == process.returncode, said
    try:
        wait_until((workspace / "seen").exists, what="the command has begun")
        yield Box(cli, run.strip())
    finally:
        cli.run("kill", run.strip())


def nearly(cli: Cli, *changes: tuple[str, str]) -> Path:
    """Our program that enters, changed."""
    text = ENTER.read_text()
    for before, after in changes:
        assert 1 == text.count(before), before
        text = text.replace(before, after)
    file = cli.workspace.parent / "enter.py"
    file.write_text(text)
    file.chmod(0o644)
    return file


@pytest.mark.parametrize("probe", PROBES)
def test_an_executed_command_has_what_the_first_has(user_cli: Cli, probe: str) -> None:
    """Capabilities, filter, namespaces, descriptors and variables are the same."""
    with box(user_cli, probe) as run:
        assert run.own(probe) == run.executed("sh", "probe") != ""


# What is done on the way in: where it shows, and how it is switched off.
STEPS = {
    "capabilities": ("status", ("        _drop_capabilities()\n", "")),
    "filter": (
        "status",
        ("_prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))", "del program"),
    ),
    "descriptors": ("descriptors", ("        os.closerange(3, 1 << 16)\n", "")),
    "variables": ("variables", ('told["environment"])', '{**told["environment"], "X": "1"})')),
    "the box's own users": ("namespaces", ("        _setns(own, _CLONE_NEWUSER)", "        pass")),
    **{
        name: ("namespaces", (f'    ("{name}", 0x{flag:08x}),\n', ""))
        for name, flag in (("ipc", 0x08000000), ("uts", 0x04000000), ("cgroup", 0x02000000))
    },
}


@pytest.mark.parametrize("step", STEPS)
def test_that_is_by_what_is_done_on_the_way_in(cli: Cli, step: str) -> None:
    """Without one of the steps it has something else."""
    probe, change = STEPS[step]
    with box(cli, probe, enter=nearly(cli, change)) as run:
        assert run.own(probe) != run.executed("sh", "probe")


def test_the_filter_needs_no_capability(cli: Cli) -> None:
    """Without the promise never to have more privileges the kernel refuses it, and nothing runs."""
    change = ("        _prctl(_PR_SET_NO_NEW_PRIVS, 1)\n", "")
    with box(cli, enter=nearly(cli, change)) as run:
        done = cli.run("exec", run.run, "--", "touch", "ran")
        assert 126 == done.returncode
        assert not (cli.workspace / "ran").exists()


def test_a_network_of_the_host_is_not_reached(cli: Cli) -> None:
    """Without entering the box's network, what is executed would be in the host's."""
    with box(cli, "namespaces", enter=nearly(cli, ('    ("net", 0x40000000),\n', ""))) as run:
        assert run.own("namespaces") != run.executed("sh", "probe")


# Looks into every process there is, and writes down whose memory or variables it could read.
LOOK = """
import os, time
seen = open("seen", "w")
end = time.time() + 50
while time.time() < end:
    for name in filter(str.isdigit, os.listdir("/proc")):
        if int(name) <= 2 or int(name) == os.getpid():
            continue
        for file in "mem", "environ":
            try:
                with open("/proc/" + name + "/" + file, "rb") as it:
                    it.seek(0) if file == "mem" else it.read(1)
                comm = open("/proc/" + name + "/comm").read().strip()
                print(file, comm, file=seen, flush=True)
            except OSError:
                pass
    time.sleep(0.01)
"""
SLOWLY = "        import time; time.sleep(1.5)\n"
RUNS = "        os.execvpe("


@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_looks_into_who_enters(user_cli: Cli, guarded: bool) -> None:
    """What enters cannot be looked into before it is the program, however long that takes; and
    that this test would see it, where it can."""
    opened = "" if guarded else "        _prctl(_PR_SET_DUMPABLE, 1)\n"
    with box(user_cli, enter=nearly(user_cli, (RUNS, opened + SLOWLY + RUNS))) as run:
        run.executed("sleep", "0.3")
    seen = (user_cli.workspace / "seen").read_text()
    assert "mem sleep" in seen
    assert guarded == ("python" not in seen), seen


def test_no_secret_enters_by_a_further_command(cli: Cli) -> None:
    """A key that the person types is refused before anything is started or written down."""
    cli.grant_unasked()
    done = cli.run("run", "-d", "--grant", "openai", "--", "sleep", "60")
    assert 0 == done.returncode, done.stderr
    run = done.stdout.strip()
    try:
        refused = cli.run("exec", run, "--", "echo", f"Bearer {REAL_KEY}")
        assert 1 == refused.returncode
        assert "the secret of grant openai itself stands in the command" in refused.stderr
        assert "ok\n" == cli.run("exec", run, "--", "echo", "ok").stdout
    finally:
        cli.run("kill", run)
    written = [file for file in (cli.home / "runs").rglob("*") if file.is_file()]
    assert written
    assert not [file for file in written if REAL_KEY.encode() in file.read_bytes()]
