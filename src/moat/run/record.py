"""The record of a run: what it was, how it stands, how it ended.

One directory a run, `runs/ID`. `run.json` is written by the run's supervisor alone, whole or
not at all; that the supervisor lives shows in a lock it holds, so a reader never has to guess
from process ids, and never writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from moat.core.ids import is_run_id, is_run_id_prefix
from moat.errors import UsageError
from moat.files import ensure_private_dir, write_atomic
from moat.ledger.events import Events

State = Literal["created", "starting", "running", "stopping", "stopped", "failed", "lost"]
Kind = Literal["run", "proxy"]
# What may follow what. A run that is over stays so; one whose supervisor died is `lost`.
NEXT: Mapping[State, frozenset[State]] = {
    "created": frozenset({"starting", "stopped", "failed", "lost"}),
    "starting": frozenset({"running", "stopping", "stopped", "failed", "lost"}),
    "running": frozenset({"stopping", "stopped", "failed", "lost"}),
    "stopping": frozenset({"stopped", "failed", "lost"}),
    "stopped": frozenset(),
    "failed": frozenset(),
    "lost": frozenset(),
}
LIVE: frozenset[State] = frozenset(state for state, following in NEXT.items() if following)
FORMAT = 1
# What begins the names, beside those of the runs: of a directory that is being made, of one that is
# being removed, and of the sign that a run lives, so that nobody reads through all of them.
NEW, OLD, SIGN = ".new-", ".old-", ".live-"
_CANDIDATES = 8  # shown where an id is not enough


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a run. Times are seconds since the epoch; paths are the host's.

    One of the kind `proxy` has no box, and so no workspace. `duration` is in seconds by a clock
    that does not jump; `limit` names the limit that ended the run, if one did, and `error` says
    what it was; `terminal` says whether it has one.
    """

    run: str
    state: State
    created: float
    workspace: str | None
    command: tuple[str, ...]
    agent: str | None = None
    name: str | None = None
    grants: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    ended: float | None = None
    exit_code: int | None = None
    error: str | None = None
    kind: Kind = "run"
    duration: float | None = None
    limit: str | None = None
    terminal: bool = False

    def become(self, state: State, **facts: Any) -> RunRecord:
        """The record in another state. Raises ValueError for one that cannot follow."""
        if state not in NEXT[self.state]:
            raise ValueError(f"a run that is {self.state} does not become {state}")
        return replace(self, state=state, **facts)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A process that supervises: its id, and when it was started, by the kernel's clock."""

    pid: int
    started: int


class RunDirectory:
    """Where things of one run stand."""

    def __init__(self, runs: Path, run: str) -> None:
        self.root = runs / run
        self.record_file = self.root / "run.json"
        self.transcript = self.root / "transcript.log"
        self.trace = self.root / "trace.db"
        self.events = self.root / "events.jsonl"
        self.changes = self.root / "changes.json"
        self.log = self.root / "supervisor.log"
        self.decisions = self.root / "decisions.jsonl"
        self.stage = self.root / "stage"
        self._lock = self.root / "lock"
        self._sign = runs / f"{SIGN}{run}"
        self._unnamed = runs / f"{NEW}{run}"

    def create(self) -> int:
        """Make the directory and take its lock; the descriptor holds it until it is closed.

        It has its name only once the lock is held: who looks never sees it without.
        """
        ensure_private_dir(self.root.parent)
        unnamed = self._unnamed
        unnamed.mkdir(mode=0o700)
        try:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            descriptor = os.open(unnamed / self._lock.name, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                os.write(descriptor, f"{os.getpid()} {_started(os.getpid())}\n".encode())
                self._sign.touch(mode=0o600)
                unnamed.rename(self.root)
            except BaseException:
                os.close(descriptor)
                raise
        except BaseException:
            shutil.rmtree(unnamed, ignore_errors=True)
            raise
        return descriptor

    def remove(self) -> None:
        """Remove all there is of the run; it is gone from sight at once. Raises OSError."""
        gone = self.root.with_name(f"{OLD}{self.root.name}")
        self.root.rename(gone)
        self._sign.unlink(missing_ok=True)
        shutil.rmtree(gone, ignore_errors=True)

    def close(self, lock: int) -> None:
        """Let go of the lock: the run is over, and its record says so."""
        self._sign.unlink(missing_ok=True)
        os.close(lock)

    def close_lost(self) -> RunRecord | None:
        """Finish what a supervisor that died has left behind; the record, if there is one now.

        Nothing comes back from the dead, so it does not matter how many do this at once.
        """
        # Looked at first: one that is being made gets its name with the lock already held.
        if not self.root.is_dir():
            if not self._unnamed.is_dir():
                self._sign.unlink(missing_ok=True)
            return None
        if self.is_supervised():
            return None
        record = self._read()
        if record is None:
            with contextlib.suppress(OSError):
                self.remove()  # it died before it had written anything down
            return None
        if record.state in LIVE:
            record = record.become("lost", ended=self._last_sign_of_life())
            self.write(record)
            Events(self.events, record.run).add("lost")
        shutil.rmtree(self.stage, ignore_errors=True)
        (self.root / "control").unlink(missing_ok=True)
        self._sign.unlink(missing_ok=True)
        return record

    def _last_sign_of_life(self) -> float:
        """When something of the run was last written."""
        return max(entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(self.root))

    def supervisor(self) -> Supervisor | None:
        """The process that supervises; None where it is gone."""
        try:
            pid, started = map(int, self._lock.read_text().split())
        except (OSError, ValueError):
            return None
        found = Supervisor(pid, started)
        return found if self.is_supervised() and _started(pid) == started else None

    def read_changes(self) -> dict[str, Any] | None:
        """What the run has changed in its workspace; None where that is not known."""
        try:
            said = json.loads(self.changes.read_bytes())
        except (OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    def has_planted(self) -> bool:
        """Whether it changed something that a program of this machine would run."""
        changes = self.read_changes()
        return changes is not None and bool(changes.get("executed"))

    def wait_unsupervised(self) -> None:
        """Wait until the run has ended, however it does; at once if it has."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def write(self, record: RunRecord) -> None:
        """Write the record down."""
        document = {"format": FORMAT, **asdict(record)}
        write_atomic(self.record_file, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)

    def read(self) -> RunRecord | None:
        """The record, as `lost` if its supervisor is gone; None where none can be read."""
        record = self._read()
        if record is not None and record.state in LIVE and not self.is_supervised():
            record = self._read()  # it may have ended between the two looks
            if record is not None and record.state in LIVE:
                return replace(record, state="lost")
        return record

    def _read(self) -> RunRecord | None:
        try:
            return _from_document(json.loads(self.record_file.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_supervised(self) -> bool:
        """Whether the process that watches over the run lives."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


def _from_document(document: dict[str, Any]) -> RunRecord:
    if document["state"] not in get_args(State):
        raise ValueError(f"unknown state {document['state']!r}")
    return RunRecord(
        run=document["run"],
        state=document["state"],
        created=float(document["created"]),
        workspace=document["workspace"],
        command=tuple(document["command"]),
        agent=document["agent"],
        name=document.get("name"),
        grants=tuple(document["grants"]),
        versions=dict(document["versions"]),
        ended=document["ended"],
        exit_code=document["exit_code"],
        error=document["error"],
        kind="proxy" if document.get("kind") == "proxy" else "run",
        duration=document.get("duration"),
        limit=document.get("limit"),
        terminal=document.get("terminal") is True,
    )


def _started(pid: int) -> int:
    """When a process was started, in clock ticks since the machine was (proc(5)); 0 if it is gone.

    With its id this names a process for good, whatever the clock on the wall does.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[19])


def live_signs(runs: Path) -> list[str]:
    """The ids of runs that live, or did until their supervisor died."""
    try:
        return sorted(n.removeprefix(SIGN) for n in os.listdir(runs) if n.startswith(SIGN))  # noqa: PTH208
    except FileNotFoundError:
        return []


def list_runs(runs: Path) -> list[RunRecord]:
    """Every run that has a readable record, the newest first."""
    try:
        names = [name for name in os.listdir(runs) if is_run_id(name)]  # noqa: PTH208  # names
    except FileNotFoundError:
        return []
    records = [record for name in names if (record := RunDirectory(runs, name).read())]
    return sorted(records, key=lambda record: record.created, reverse=True)


def find_run(runs: Path, given: str | None) -> RunRecord:
    """The run of an id, a name, or a unique beginning of an id; the latest without.

    A name means the newest run that has it, or the live one. Raises UsageError, also where
    several are meant.
    """
    records = list_runs(runs)
    if given is None:
        if not records:
            raise UsageError("there are no runs yet", hint="start one: moat run -- true")
        return records[0]
    if not is_run_id(given) and (named := _named(records, given)) is not None:
        return named
    matching = [r for r in records if is_run_id_prefix(given) and r.run.startswith(given)]
    if not matching:
        raise UsageError(f"there is no run {given!r}", hint="run: moat list")
    if len(matching) > 1:
        raise UsageError(
            f"{given!r} begins the ids of {len(matching)} runs: "
            + _some([record.run for record in matching]),
            hint="type more of the id, as in: moat list",
        )
    return matching[0]


def _named(records: Sequence[RunRecord], given: str) -> RunRecord | None:
    """The run of a name: the live one, else the newest. Raises UsageError if several live."""
    named = [record for record in records if record.name == given]
    live = [record for record in named if record.state in LIVE]
    if len(live) > 1:
        raise UsageError(
            f"{len(live)} live runs are called {given!r}: {_some([r.run for r in live])}",
            hint="say which by its id, as in: moat list",
        )
    return next(iter(live or named), None)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_CANDIDATES]) + (", …" if len(names) > _CANDIDATES else "")


def get_live_run(runs: Path, given: str | None, *, option: str = "") -> RunRecord:
    """The live run of an id, a name, or a unique beginning of an id; without, the only one.

    `option` is what stands before the name on the command line. Raises UsageError.
    """
    live = [record for record in list_runs(runs) if record.state in LIVE]
    if given is None:
        if not live:
            raise UsageError("no run is live", hint="run: moat list")
        if len(live) > 1:
            names = [f"{r.run} ({r.name})" if r.name else r.run for r in live]
            raise UsageError(
                f"{len(live)} runs are live: {_some(names)}",
                hint=f"say which: {option}{live[0].run}",
            )
        return live[0]
    # A name that was used before means the run that has it now.
    record = _named(live, given) or find_run(runs, given)
    if record.state not in LIVE:
        raise UsageError(
            f"run {record.run} has ended ({record.state})", hint="see which are live: moat list"
        )
    return record


def wanted_runs(runs: Path, given: Iterable[str], *, every: bool) -> list[RunRecord]:
    """The runs that are to be ended: those of the names, every live one, or the only one that is.

    A name means a live run if one has it; what is named may have ended. Raises UsageError.
    """
    if every:
        return [record for record in list_runs(runs) if record.state in LIVE]
    found = [find_run(runs, name) for name in given] or [get_live_run(runs, None)]
    return [*{record.run: record for record in found}.values()]
