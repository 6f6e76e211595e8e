"""What happens in a run that a Python program takes part in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

from moat.errors import MoatError
from moat.run import control

Stream: TypeAlias = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Started:
    """The command was let go. One that ends in its first moment ends without it."""

    run: str


@dataclass(frozen=True, slots=True)
class Output:
    """What it printed; at a terminal all of it is "stdout", and filtered for one."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """So many bytes of output came faster than a watcher read: the transcript has them."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Question:
    """A request waits for an answer, as policy leaves it open: `Run.answer` gives one. No output
    comes until then."""

    id: int
    host: str
    method: str
    url: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The question of this number waits no more: somebody has answered it, or nobody in time."""

    id: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: its exit code, and what went wrong that was not the command's own affair."""

    code: int
    error: MoatError | None


Event: TypeAlias = Started | Output | Skipped | Question | Withdrawn | Ended

_STREAMS: dict[bytes, Stream] = {control.STDOUT: "stdout", control.STDERR: "stderr"}


def event_of(run: str, kind: bytes, payload: bytes) -> Event | None:
    """What a frame of a run's supervisor tells; None for one that tells nobody anything."""
    if kind in _STREAMS:
        return Output(_STREAMS[kind], payload)
    if kind == control.STARTED:
        return Started(run)
    if kind not in _TOLD:
        return None
    said = json.loads(payload)
    if kind == control.SKIPPED:
        return Skipped(int(said["bytes"]))
    if kind == control.QUESTION:
        return Question(said["id"], said["host"], said["method"], said["url"])
    if kind == control.WITHDRAWN:
        return Withdrawn(said["id"])
    if kind == control.DETACHED:
        return Ended(0, MoatError(f"run {run} goes on without us: {said['why']}"))
    error = None if said["error"] is None else MoatError(said["error"], hint=said["hint"])
    return Ended(int(said["code"]), error)


_TOLD = frozenset(
    {control.SKIPPED, control.QUESTION, control.WITHDRAWN, control.DETACHED, control.EXIT}
)
