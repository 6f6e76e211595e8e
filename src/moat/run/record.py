"""The record of a run: what it was, how it stands, how it ended.

One directory a run, `runs/ID`. `run.json` is written by the run's supervisor alone, whole or
not at all; that the supervisor lives shows in a lock it holds, so a reader never has to guess
from process ids, and never writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from moat.core.ids import is_run_id, is_run_id_prefix
from moat.errors import UsageError
from moat.files import ensure_private_dir, write_atomic

State = Literal["created", "starting", "running", "stopping", "stopped", "failed", "lost"]
Kind = Literal["run", "proxy"]
LIVE: frozenset[State] = frozenset({"created", "starting", "running", "stopping"})
FORMAT = 1
_CANDIDATES = 8  # shown where an id is not enough


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a run. Times are seconds since the epoch; paths are the host's.

    One of the kind `proxy` has no box, and so no workspace.
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


class RunDirectory:
    """Where things of one run stand."""

    def __init__(self, runs: Path, run: str) -> None:
        self.root = runs / run
        self.record_file = self.root / "run.json"
        self.transcript = self.root / "transcript.log"
        self.trace = self.root / "trace.db"
        self.log = self.root / "supervisor.log"
        self.decisions = self.root / "decisions.jsonl"
        self.stage = self.root / "stage"
        self._lock = self.root / "lock"

    def create(self) -> int:
        """Make the directory and take its lock; the descriptor holds it until it is closed."""
        ensure_private_dir(self.root.parent)
        self.root.mkdir(mode=0o700)
        try:
            descriptor = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            self.remove()
            raise
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def remove(self) -> None:
        """Remove all there is of the run."""
        shutil.rmtree(self.root, ignore_errors=True)

    def write(self, record: RunRecord) -> None:
        """Write the record down."""
        document = {"format": FORMAT, **asdict(record)}
        write_atomic(self.record_file, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)

    def read(self) -> RunRecord | None:
        """The record, as `lost` if its supervisor is gone; None where none can be read."""
        record = self._read()
        if record is not None and record.state in LIVE and not self._is_supervised():
            record = self._read()  # it may have ended between the two looks
            if record is not None and record.state in LIVE:
                return replace(record, state="lost")
        return record

    def _read(self) -> RunRecord | None:
        try:
            return _from_document(json.loads(self.record_file.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_supervised(self) -> bool:
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
    )


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

    A name means the newest run that has it. Raises UsageError.
    """
    records = list_runs(runs)
    if given is None:
        if not records:
            raise UsageError("there are no runs yet", hint="start one: moat run -- true")
        return records[0]
    named = [record for record in records if record.name == given]
    if named and not is_run_id(given):
        return named[0]
    matching = [r for r in records if is_run_id_prefix(given) and r.run.startswith(given)]
    if not matching:
        raise UsageError(f"there is no run {given!r}", hint="run: moat list")
    if len(matching) > 1:
        raise UsageError(
            f"{given!r} begins the ids of {len(matching)} runs: "
            + ", ".join(record.run for record in matching[:_CANDIDATES])
            + (", …" if len(matching) > _CANDIDATES else ""),
            hint="type more of the id, as in: moat list",
        )
    return matching[0]


def get_live_run(runs: Path, given: str | None) -> RunRecord:
    """The live run of an id, a name, or a unique beginning of an id; without, the only one.

    Raises UsageError.
    """
    live = [record for record in list_runs(runs) if record.state in LIVE]
    if given is None:
        if not live:
            raise UsageError("no run is live", hint="run: moat list")
        if len(live) > 1:
            names = (f"{r.run} ({r.name})" if r.name else r.run for r in live[:_CANDIDATES])
            raise UsageError(
                f"{len(live)} runs are live: {', '.join(names)}"
                + (", …" if len(live) > _CANDIDATES else ""),
                hint=f"say which: --run {live[0].run}",
            )
        return live[0]
    # A name that was used before means the run that has it now.
    record = next((r for r in live if r.name == given), None) or find_run(runs, given)
    if record.state not in LIVE:
        raise UsageError(
            f"run {record.run} has ended ({record.state})", hint="see which are live: moat list"
        )
    return record
