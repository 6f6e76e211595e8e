"""What a run may use up: values, how they are written, and what is said when one is met.

Sizes are bytes and count in 1024s, as Docker's do; durations are seconds; `none` is no limit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

# Its form too is taken from here, with those of all the other limits.
from moat.core.durations import parse_duration

LimitName: TypeAlias = Literal["wall", "memory", "processes", "cpus", "disk", "files"]
Said: TypeAlias = tuple[tuple[LimitName, float | int | None], ...]
"""What one place says of limits, for `dict()` to take: those it says nothing of are not in it, None
switches one off."""


class Limits(NamedTuple):
    """What a run may use; None where nothing holds it.

    `wall` is seconds from start to end; `memory` bytes, with what is in private file systems, which
    are memory; `processes` counts threads too, as the kernel does; `cpus` is how many processors it
    may keep busy, 0.5 is half of one; `disk` bytes in its private file systems together; `files`
    how many a process may have open.
    """

    wall: float | None = None
    memory: int | None = None
    processes: int | None = None
    cpus: float | None = None
    disk: int | None = None
    files: int | None = None


OPTIONS: Final[Mapping[str, LimitName]] = MappingProxyType(
    {
        "timeout": "wall",
        "memory": "memory",
        "pids": "processes",
        "cpus": "cpus",
        "disk": "disk",
        "files": "files",
    }
)
"""The words by which a person sets them, as options and in files; Docker's where it has one."""


class Exceeded(NamedTuple):
    """A limit that was met, and what is told of it: "it used more memory than …"."""

    limit: LimitName
    text: str


MIB: Final = 1 << 20
_PROCESSES, _FILES = 4096, 65_536


def default_limits(*, host_memory: int, host_files: int) -> Limits:
    """What holds where nothing is said: enough for ordinary work, too little to end the host.

    `host_memory` are the bytes that this machine has, `host_files` how many files a process of it
    may open.
    """
    memory = max(host_memory * 3 // 4, 64 * MIB)
    return Limits(
        memory=memory,
        processes=_PROCESSES,
        disk=memory // 2,
        files=min(_FILES, host_files),
    )


def merged(defaults: Limits, *said: Said) -> Limits:
    """The limits that hold, what is said later coming first."""
    limits = defaults
    for each in said:
        limits = limits._replace(**cast(Mapping[str, Any], dict(each)))
    return limits


def parse_limit(name: LimitName, text: str) -> float | int | None:
    """A limit as it is written. Raises ValueError with a reason."""
    if text.strip().lower() == "none":
        return None
    return _PARSERS[name](text.strip())


# Words, compiled when there is one to read: most runs have none.
SIZE = r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGTkmgt]i?[Bb]?|[Bb])?"
DECIMAL = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
WHOLE = r"[0-9]{1,9}"
_POWERS: Final = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MOST_BYTES: Final = 1 << 50
_MOST_SECONDS: Final = 366 * 86_400
# With less, a box does not come to run anything.
_LEAST_MEMORY, _LEAST_DISK = 16 * MIB, 1 * MIB
_LEAST_PROCESSES, _LEAST_FILES, _LEAST_CPUS = 16, 64, 0.01


def parse_size(text: str) -> int:
    """Bytes of a size such as "4g" or "512MiB". Raises ValueError."""
    found = re.fullmatch(SIZE, text)
    if not found:
        raise ValueError(f'"{text[:40]}" is not a size such as 512m, 4g or 1.5GiB')
    number, unit = found.groups()
    size = int(float(number) * 1024 ** _POWERS[(unit or "b")[0].lower()])
    if size > _MOST_BYTES:
        raise ValueError(f'"{text[:40]}" is more than any machine has')
    return size


def _wall(text: str) -> float:
    seconds = parse_duration(text)
    if not 0 < seconds <= _MOST_SECONDS:
        raise ValueError(f'"{text[:40]}": a run may take from a moment to a year')
    return seconds


def _at_least(parse: Callable[[str], int], least: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        size = parse(text)
        if size < least:
            hint = ", did you forget the unit?" if text.isdigit() else ""
            raise ValueError(f'"{text}" is too little: {size_text(least)} is the least{hint}')
        return size

    return parsed


def _count(least: int, of_what: str) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        if not re.fullmatch(WHOLE, text):
            raise ValueError(f'"{text[:40]}" is not a number of {of_what}')
        if int(text) < least:
            raise ValueError(f'"{text}" is too few {of_what} to run anything: {least} is the least')
        return int(text)

    return parsed


def _cpus(text: str) -> float:
    if not re.fullmatch(DECIMAL, text):
        raise ValueError(f'"{text[:40]}" is not a number of processors such as 2 or 0.5')
    if not float(text) >= _LEAST_CPUS:
        raise ValueError(f'"{text}" is too little: {_LEAST_CPUS} is the least')
    return float(text)


_PARSERS: Final[Mapping[LimitName, Callable[[str], float | int]]] = MappingProxyType(
    {
        "wall": _wall,
        "memory": _at_least(parse_size, _LEAST_MEMORY),
        "processes": _count(_LEAST_PROCESSES, "processes"),
        "cpus": _cpus,
        "disk": _at_least(parse_size, _LEAST_DISK),
        "files": _count(_LEAST_FILES, "files"),
    }
)


def size_text(size: int) -> str:
    """A size as it is read: "512 MiB"."""
    for unit, shift in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            return f"{_plain(size / (1 << shift))} {unit}"
    return f"{size} bytes"


def duration_text(seconds: float) -> str:
    """A duration as it is read: "1 h 30 min"."""
    if seconds < 60:
        return f"{_plain(seconds)} s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _plain(number: float) -> str:
    # Down, so that a limit never reads as more than it is.
    return f"{math.floor(number * 10) / 10:.1f}".removesuffix(".0")


def limit_text(name: LimitName, amount: float | int | None) -> str:
    """An amount of something that is limited, as it is read."""
    if amount is None:
        return "none"
    if name == "wall":
        return duration_text(amount)
    return size_text(int(amount)) if name in ("memory", "disk") else f"{amount:g}"


def exceeded(name: LimitName, limits: Limits) -> Exceeded:
    """What is told of a limit that was met."""
    amount = limit_text(name, getattr(limits, name))
    return Exceeded(name, _TOLD[name].format(amount))


_TOLD: Final[Mapping[LimitName, str]] = MappingProxyType(
    {
        "wall": "it ran longer than the {} it may",
        "memory": "it used more memory than the {} it may",
        "processes": "it had more processes than the {} it may",
        "cpus": "it kept more processors busy than the {} it may",
        "disk": "it wrote more than the {} that its private directories (/tmp, /home, …) may hold",
        "files": "it opened more files than the {} it may",
    }
)
