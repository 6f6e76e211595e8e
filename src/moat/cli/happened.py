"""What happened to a run, in a line for a person."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moat.cli.units import seconds_text

# The longest there is: "asked to end".
_WIDTH = 12
_SAID = frozenset({"time", "run", "event"})


def line_of(event: Mapping[str, Any]) -> str:
    """When it was, of which run, what, and what goes with it."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
    facts = {
        name: value for name, value in event.items() if name not in _SAID and value is not None
    }
    try:
        told = _TELLING[event["event"]](facts)
    except (KeyError, TypeError, ValueError):
        told = _plainly(facts)  # another Moat's
    return f"{clock}  {event['run']}  {event['event']:<{_WIDTH}}  {told}".rstrip()


def _plainly(facts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in facts.items()
    )


def _of_end(facts: Mapping[str, Any]) -> str:
    return ", ".join(_end(facts))


def _end(facts: Mapping[str, Any]) -> Iterator[str]:
    if "exit_code" in facts:
        yield f"exit code {facts['exit_code']}"
    if "duration" in facts:
        yield f"after {seconds_text(facts['duration'])}"
    if "limit" in facts:
        yield f"limit on {facts['limit']}"
    if "stopped_by" in facts:
        yield f"ended by {facts['stopped_by']}"
    if "error" in facts:
        yield str(facts["error"])


def _of_command(facts: Mapping[str, Any]) -> str:
    return f"{shlex.join(facts['command'])}: exit code {facts['exit_code']}"


def _of_signal(facts: Mapping[str, Any]) -> str:
    return signal.Signals(facts["signal"]).name


_TELLING: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "stopped": _of_end,
    "failed": _of_end,
    "attached": lambda facts: "drives" if facts["drives"] else "watches",
    "detached": lambda facts: "drove" if facts["drives"] else "watched",
    "executed": _of_command,
    "asked to end": _of_signal,
    "limit": lambda facts: str(facts["text"]),
}
