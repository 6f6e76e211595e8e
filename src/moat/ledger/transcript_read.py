"""Reads transcripts: the last lines, since a moment, as they grow, and when what was shown.

A last line that is not complete is yet to come, or was cut short: it is left out. What is read
is what a hostile program printed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, AnyStr, BinaryIO, Literal

from moat.errors import RecordError
from moat.ledger.regular import moment, open_regular, parse_json, read_regular
from moat.ledger.transcript import CAST, LOG, TIMES

_BLOCK = 1 << 16
_MOST = 1 << 20  # bytes read at a time
_MOST_TIMES = 1 << 28  # bytes of all times: a line a second, for years
_LONGEST = 1e10  # seconds that a run may take
# Seconds between two lines of times, with some to spare: what stands behind one came within them.
_WITHIN = 1.1


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at the terminal, so many seconds after it began.

    Of the kind `o` the text was printed; of the kind `r` it says the new size, `80x24`.
    """

    seconds: float
    kind: Literal["o", "r"]
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """What an asciicast begins with: the terminal's size, and when it was, since the epoch."""

    rows: int
    columns: int
    began: float


class LogReading:
    """A transcript of pipes, from its beginning or from where `start` puts it."""

    def __init__(self, root: Path) -> None:
        """Raises OSError."""
        self._file = open_regular(root / LOG, buffering=0)
        self._times = root / TIMES

    def start(self, *, lines: int | None = None, since: float | None = None) -> None:
        """Begin with the last so many lines, and not before a moment since the epoch."""
        places = [0]
        if lines is not None:
            places.append(self._last(lines))
        if since is not None:
            places.append(self._since(since))
        self._file.seek(max(places))

    def _last(self, lines: int) -> int:
        place = self._file.seek(0, os.SEEK_END)
        wanted = lines
        for offset, block in _blocks_backwards(self._file, place):
            if offset + len(block) == place and block.endswith(b"\n"):
                wanted += 1  # it ends the last line, and does not begin another
            if (at := _nth_last(block, b"\n", wanted)) >= 0:
                return min(offset + at + 1, place) if lines else place
            wanted -= block.count(b"\n")
        return 0

    def _since(self, since: float) -> int:
        try:
            noted = read_regular(self._times, most=_MOST_TIMES).split(b"\n")[:-1]
        except OSError:
            return 0
        for when, offset in filter(None, map(_noted, noted)):
            if when + _WITHIN >= since:
                return min(offset, self._file.seek(0, os.SEEK_END))
        return self._file.seek(0, os.SEEK_END)

    def read(self) -> bytes:
        """What comes next; nothing when there is no more for now."""
        return self._file.read(_MOST)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CastReading:
    """An asciicast, from its beginning or from where `start` puts it."""

    def __init__(self, root: Path) -> None:
        """Raises OSError."""
        self._file = open_regular(root / CAST)
        self._place = 0
        self._skipped = 0  # characters of the first event

    def header(self) -> Header | None:
        """How it begins; None where that is not written, or makes no sense."""
        self._file.seek(0)
        line = self._file.readline()
        try:
            said: dict[str, Any] = parse_json(line)
            rows, columns = int(said["height"]), int(said["width"])
            return Header(rows, columns, moment(said["timestamp"]))
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    def start(self, *, lines: int | None = None, since: float | None = None) -> None:
        """Begin with the last so many lines, and not before a moment since the epoch."""
        places = [(0, 0)]
        if lines is not None:
            places.append(self._last(lines))
        header = self.header()
        if since is not None and header is not None:
            places.append((self._since(since - header.began), 0))
        self._place, self._skipped = max(places)

    def _last(self, lines: int) -> tuple[int, int]:
        size = self._file.seek(0, os.SEEK_END)
        if not lines:
            return size, 0
        wanted, at_end = lines, True
        for offset, line in _lines_backwards(self._file, size):
            event = _event(line)
            if event is None or event.kind != "o" or not event.text:
                continue
            wanted += at_end and event.text.endswith("\n")
            at_end = False
            if (at := _nth_last(event.text, "\n", wanted)) >= 0:
                return offset, at + 1
            wanted -= event.text.count("\n")
        return 0, 0

    def _since(self, seconds: float) -> int:
        place = size = self._file.seek(0, os.SEEK_END)
        for offset, line in _lines_backwards(self._file, size):
            event = _event(line)
            if event is not None and event.seconds < seconds:
                return place
            place = offset
        return 0

    def read(self) -> bytes:
        """The text that was printed next; nothing when there is no more for now."""
        return b"".join(
            event.text.encode(errors="replace") for event in self._next() if event.kind == "o"
        )

    def events(self) -> Iterator[Event]:
        """Everything that happened, as far as it is written by now."""
        while events := self._next():
            yield from events

    def _next(self) -> list[Event]:
        events: list[Event] = []
        while not events:
            self._file.seek(self._place)
            lines = self._file.readlines(_MOST)
            whole = [line for line in lines if line.endswith(b"\n")]
            if not whole:
                break
            self._place += sum(map(len, whole))
            events = [event for line in whole if (event := _event(line)) is not None]
        if self._skipped and events:
            first = events[0]
            events[0] = Event(first.seconds, first.kind, first.text[self._skipped :])
            self._skipped = 0
        return events

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_transcript(root: Path) -> LogReading | CastReading | None:
    """The transcript of a run's directory; None where none was begun. Raises RecordError."""
    for reading in (CastReading, LogReading):
        try:
            return reading(root)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RecordError(
                f"the transcript in {root} cannot be read: {error.strerror}"
            ) from None
    return None


def _event(line: bytes) -> Event | None:
    """The event of a line; None for the header, for another kind, and for what is no event."""
    try:
        seconds, kind, text = parse_json(line)
        if kind not in ("o", "r") or not 0 <= seconds < _LONGEST:
            return None
        return Event(float(seconds), kind, str(text))
    except (ValueError, TypeError):
        return None


def _noted(line: bytes) -> tuple[float, int] | None:
    """A time and the place that was reached then; None for a line that makes no sense."""
    when, _, offset = line.partition(b" ")
    try:
        at, place = float(when), int(offset)
    except ValueError:
        return None
    return (at, place) if place >= 0 else None


def _nth_last(text: AnyStr, mark: AnyStr, count: int) -> int:
    """Where the last mark but so many stands; -1 where there are fewer."""
    at = len(text)
    for _ in range(count):
        at = text.rfind(mark, 0, at)
        if at < 0:
            return -1
    return at


def _blocks_backwards(file: Any, size: int) -> Iterator[tuple[int, bytes]]:
    while size > 0:
        start = max(0, size - _BLOCK)
        file.seek(start)
        block = file.read(size - start)
        yield start, block
        size = start


def _lines_backwards(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Complete lines, the last one first, each with its place."""
    rest: bytes | None = None  # the beginning of it is yet to be read; None: it is not complete
    for start, block in _blocks_backwards(file, size):
        end = len(block)
        while (at := block.rfind(b"\n", 0, end)) >= 0:
            if rest is not None:
                yield start + at + 1, block[at + 1 : end] + rest
            rest, end = b"", at
        if rest is not None:
            rest = block[:end] + rest
    if rest is not None:
        yield 0, rest
