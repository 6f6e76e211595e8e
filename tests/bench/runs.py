"""Whole runs: many at once, the memory each takes while it idles, what a key costs on its way."""

from __future__ import annotations

import contextlib
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import environment, moat
from tests.bench.report import Goal, Result, Row, Table

from moat.run.record import RunDirectory

CROWD = 20
_MIB = 1 << 20
_PATIENCE = 60.0


@dataclass(frozen=True)
class Place:
    """A home and a workspace of their own."""

    workspace: Path
    env: dict[str, str]

    @property
    def runs(self) -> Path:
        return Path(self.env["MOAT_HOME"], "runs")


@contextlib.contextmanager
def new_place() -> Iterator[Place]:
    """Somewhere to run things; what lives there at the end is killed."""
    with tempfile.TemporaryDirectory() as directory:
        home, workspace = Path(directory, "home"), Path(directory, "workspace")
        home.mkdir(mode=0o700)
        workspace.mkdir()
        place = Place(workspace, environment(str(home)))
        try:
            yield place
        finally:
            subprocess.run(moat("kill", "--all"), env=place.env, check=False, capture_output=True)


# many at once


def crowd(rounds: int = 3) -> Result:
    """`moat run -- true`, one and many at a time."""
    with new_place() as place:
        together(place, 1)
        taken: dict[int, list[float]] = {1: [], CROWD: []}
        for _ in range(rounds):
            for count, seconds in taken.items():
                seconds.append(together(place, count))
    one, all_of_them = (statistics.median(taken[count]) for count in (1, CROWD))
    rows: list[Row] = [
        ("one", [one * 1000, None, None]),
        (f"{CROWD} at once", [all_of_them * 1000, all_of_them * 1000 / CROWD, all_of_them / one]),
    ]
    columns = ("ms, all", "ms each", "x one")
    goals = [Goal(f"{CROWD} starts at once, by {CROWD} starts", all_of_them / one / CROWD, 1, "x")]
    return Result([Table("Starts at once", columns, tuple(rows), digits=1)], goals)


def together(place: Place, count: int) -> float:
    """Seconds until all of so many runs have started and ended. Raises where one fails."""
    began = time.perf_counter()
    started = [
        subprocess.Popen(
            moat("run", "--", "true"),
            cwd=place.workspace,
            env=place.env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    codes = [process.wait(_PATIENCE) for process in started]
    taken = time.perf_counter() - began
    if any(codes):
        raise RuntimeError(f"of {count} runs at once some failed: {codes}")
    return taken


# memory


def idle_memory(counts: Sequence[int] = (1, CROWD)) -> Result:
    """The supervisors of runs that do nothing: what each has of its own, and its part of what it
    shares."""
    rows: list[Row] = []
    for count in counts:
        with new_place() as place:
            each = [pss / _MIB for pss in supervisors(place, count)]
        rows.append((f"{count} idle run{'s' * (count > 1)}", [statistics.mean(each), max(each)]))
    columns = ("MiB a run", "largest")
    goals = [Goal(f"memory of a supervisor, {name}", of[1], 60, " MiB") for name, of in rows]
    table = Table("Supervisors, proportional set size", columns, tuple(rows), digits=1)
    return Result([table], goals)


def supervisors(place: Place, count: int) -> list[int]:
    """Proportional set sizes, in bytes, of the supervisors of so many runs that are let be."""
    for _ in range(count):
        command = moat("run", "--detach", "--", "sleep", "600")
        subprocess.run(command, cwd=place.workspace, env=place.env, check=True, capture_output=True)
    time.sleep(1)
    runs = [RunDirectory(place.runs, lock.parent.name) for lock in place.runs.glob("*/lock")]
    found = [proportional(its.pid) for run in runs if (its := run.supervisor()) is not None]
    if len(found) != count:
        raise RuntimeError(f"of {count} runs {len(found)} live")
    return found


def proportional(pid: int) -> int:
    """Memory of a process in bytes, what it shares divided by those who share it: Pss."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


# keys

_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_ECHO = ["sh", "-c", "stty raw -echo; echo ready; exec cat"]


class Typist:
    """A pseudo-terminal with a command at it, and who types there."""

    def __init__(self, command: Sequence[str], place: Place) -> None:
        self._master, slave = os.openpty()
        os.set_blocking(self._master, True)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _AT_TERMINAL, *command],
            cwd=place.workspace,
            env=place.env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._wait_for(b"ready")
        time.sleep(0.5)  # for what is loaded behind the start
        while select.select([self._master], [], [], 0)[0]:
            os.read(self._master, 1 << 16)

    def key(self, key: bytes) -> float:
        """Seconds from a key to its echo."""
        began = time.perf_counter()
        os.write(self._master, key)
        self._wait_for(key)
        return time.perf_counter() - began

    def _wait_for(self, text: bytes) -> None:
        seen = b""
        while text not in seen:
            if not select.select([self._master], [], [], _PATIENCE)[0]:
                raise TimeoutError(f"{text!r} does not come: {seen[-200:]!r}")
            seen += os.read(self._master, 1 << 16)

    def close(self) -> None:
        """Hang up."""
        os.close(self._master)
        self._process.terminate()
        self._process.wait(_PATIENCE)


def keys(count: int = 500) -> Result:
    """A program that echoes: what a key takes at a pseudo-terminal, and through a run of one."""
    with new_place() as place, contextlib.ExitStack() as stack:
        typists = {}
        for name, words in (("bare", _ECHO), ("moat run", moat("run", "--", *_ECHO))):
            typists[name] = Typist(words, place)
            stack.callback(typists[name].close)
        taken: dict[str, list[float]] = {name: [] for name in typists}
        for number in range(count):
            for name, typist in typists.items():
                taken[name].append(typist.key(b"%c" % (97 + number % 26)) * 1000)
                time.sleep(0.003)
    figures = {name: (statistics.median(ms), _hundredth(ms)) for name, ms in taken.items()}
    added = [through - bare for bare, through in zip(*figures.values(), strict=True)]
    rows: list[Row] = [*((name, list(of)) for name, of in figures.items()), ("added", added)]
    goals = [
        Goal("added to a key, median", added[0], 10, " ms"),
        Goal("added to a key, 99 of 100", added[1], 10, " ms"),
    ]
    return Result([Table("A key and its echo", ("ms", "p99 ms"), tuple(rows), digits=2)], goals)


def _hundredth(values: Sequence[float]) -> float:
    """What all but a hundredth stay below."""
    return sorted(values)[int(len(values) * 0.99)] if values else 0.0
