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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from moat.core.ids import is_run_id
from moat.core.nothing import NOTHING
from moat.files import ensure_private_dir, write_atomic
from moat.ledger.events import Events
from moat.ledger.regular import moment, parse_json, read_regular
from moat.run import members

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
# Bytes of a record that are read, and of what was changed: an agent can make many long names, and
# nothing of that must hide what it has planted.
_MOST, _MOST_CHANGES = 1 << 24, 1 << 30
# Times a directory is made again that others have taken for abandoned.
_TRIES = 8
# A lock is opened as it is, also where something else has taken its place that would wait.
_LOOKING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class RunRecord(NamedTuple):
    """What is known of a run. Times are seconds since the epoch; paths are the host's.

    One of the kind `proxy` has no box, and so no workspace. `duration` is in seconds by a clock
    that does not jump; `limit` names the limit that ended the run, if one did, and `error` says
    what it was; `terminal` says whether it has one; `stopped_by` names the signal by which it was
    asked to end, if it was.
    """

    run: str
    state: State
    created: float
    workspace: str | None
    command: tuple[str, ...]
    agent: str | None = None
    name: str | None = None
    grants: tuple[str, ...] = ()
    versions: Mapping[str, str] = NOTHING
    ended: float | None = None
    exit_code: int | None = None
    error: str | None = None
    kind: Kind = "run"
    duration: float | None = None
    limit: str | None = None
    terminal: bool = False
    stopped_by: str | None = None

    def become(self, state: State, **facts: Any) -> RunRecord:
        """The record in another state. Raises ValueError for one that cannot follow."""
        if state not in NEXT[self.state]:
            raise ValueError(f"a run that is {self.state} does not become {state}")
        return self._replace(state=state, **facts)


class Supervisor(NamedTuple):
    """A process that supervises: its id, and when it was started, by the kernel's clock."""

    pid: int
    started: int


class RunDirectory:
    """Where things of one run stand."""

    def __init__(self, runs: Path, run: str) -> None:
        """Raises ValueError for what is no run id: it could lead anywhere."""
        if not is_run_id(run):
            raise ValueError(f"{run!r} is no run id")
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
        for _ in range(_TRIES):
            # Until it is locked, it looks like one that somebody has left who died.
            with contextlib.suppress(FileNotFoundError):
                return self._create()
        return self._create()

    def _create(self) -> int:
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
        # In this order: one that is being made gets its name with the lock already held.
        if not self._unnamed.is_dir() and not self.root.is_dir():
            self._sign.unlink(missing_ok=True)
        if not self.root.is_dir():
            return None
        if self.is_supervised():
            return None
        try:
            return self._finish()
        except FileNotFoundError:
            return None  # somebody removes it at this moment

    def _finish(self) -> RunRecord | None:
        """Write down that a run is lost, if it was live, and clear up. Raises OSError."""
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

    def discard_unmade(self) -> None:
        """Take away a directory that was being made when its supervisor died.

        One who is still at it, and has not locked it yet, notices and begins again.
        """
        if _is_locked(self._unnamed / self._lock.name):
            return
        gone = self.root.with_name(f"{OLD}{self.root.name}")
        with contextlib.suppress(OSError):  # it has its name now, or somebody else was first
            self._unnamed.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _last_sign_of_life(self) -> float:
        """When something of the run was last written."""
        return max(entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(self.root))

    def supervisor(self) -> Supervisor | None:
        """The process that supervises; None where it is gone."""
        try:
            pid, started = map(int, read_regular(self._lock, most=64).split())
        except (OSError, ValueError):
            return None
        found = Supervisor(pid, started)
        return found if self.is_supervised() and _started(pid) == started else None

    def read_changes(self) -> dict[str, Any] | None:
        """What the run has changed in its workspace; None where that is not known."""
        try:
            return members.changes(parse_json(read_regular(self.changes, most=_MOST_CHANGES)))
        except (OSError, ValueError, TypeError):
            return None

    def wait_unsupervised(self) -> None:
        """Wait until the run has ended, however it does; at once if it has."""
        try:
            descriptor = os.open(self._lock, _LOOKING)
        except OSError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def write(self, record: RunRecord) -> None:
        """Write the record down; how a live run stood is of no use after a power cut."""
        document = {"format": FORMAT, **record._asdict()}
        data = json.dumps(document, indent=2).encode() + b"\n"
        write_atomic(self.record_file, data, mode=0o600, lasting=record.state not in LIVE)

    def read(self) -> RunRecord | None:
        """The record, as `lost` if its supervisor is gone; None where none can be read."""
        record = self._read()
        if record is not None and record.state in LIVE and not self.is_supervised():
            record = self._read()  # it may have ended between the two looks
            if record is not None and record.state in LIVE:
                return record._replace(state="lost")
        return record

    def _read(self) -> RunRecord | None:
        try:
            data = read_regular(self.record_file, most=_MOST)
            return _from_document(members.as_object(parse_json(data)), self.root.name)
        except (OSError, ValueError, TypeError):
            return None

    def is_supervised(self) -> bool:
        """Whether the process that watches over the run lives."""
        return _is_locked(self._lock)


def _is_locked(lock: Path) -> bool:
    """Whether somebody holds a lock."""
    try:
        descriptor = os.open(lock, _LOOKING)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _from_document(document: dict[str, Any], run: str) -> RunRecord:
    """The record of a run, held to its types. Raises ValueError, TypeError."""
    if document.get("run") != run:
        raise ValueError("it is the record of another run")
    written = members.text(document, "state")
    state = next((state for state in NEXT if state == written), None)
    if state is None:
        raise ValueError(f"unknown state {written!r}")
    return RunRecord(
        run=run,
        state=state,
        created=moment(document.get("created")),
        workspace=members.text_or_none(document, "workspace"),
        command=members.texts(document, "command"),
        agent=members.text_or_none(document, "agent"),
        name=members.text_or_none(document, "name"),
        grants=members.texts(document, "grants"),
        versions=members.texts_by_name(document, "versions"),
        ended=members.time_or_none(document, "ended"),
        exit_code=members.code_or_none(document, "exit_code"),
        error=members.text_or_none(document, "error"),
        kind="proxy" if document.get("kind") == "proxy" else "run",
        duration=members.seconds_or_none(document, "duration"),
        limit=members.text_or_none(document, "limit"),
        terminal=document.get("terminal") is True,
        stopped_by=members.text_or_none(document, "stopped_by"),
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
