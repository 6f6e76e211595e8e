"""Telling a person how an installation gets on: sentences, and bytes as they arrive.

What is measured is the installer's affair; how it looks is decided here. On a terminal one line
is redrawn; in a log a line is added now and then. Neither needs colour or cursor movement.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol, TextIO

_MEGABYTE = 1_000_000
_REDRAW_SECONDS = 0.1
_LOG_SECONDS = 5.0
_LOG_STEP = 4  # a line in a log at each quarter


class Progress(Protocol):
    """Someone who is told how it gets on."""

    def say(self, text: str) -> None:
        """A sentence that stays on the screen."""

    def measure(self, label: str, done: int, total: int) -> None:
        """So many bytes of so many, about the thing called `label`."""

    def end(self) -> None:
        """Nothing more comes for now: leave the cursor at the start of a line."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def measure(self, label: str, done: int, total: int) -> None:
        """Measure nothing."""

    def end(self) -> None:
        """There is nothing to end."""


class TerminalProgress:
    """Redraws one line with a carriage return."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._drawn = ""
        self._drawn_at = float("-inf")

    def say(self, text: str) -> None:
        """Write a sentence on a line of its own."""
        self.end()
        _write(self._stream, f"{text}\n")

    def measure(self, label: str, done: int, total: int) -> None:
        """Redraw the line, not more often than an eye can follow."""
        now = self._clock()
        text = measured(label, done, total)[: _width(self._stream) - 1]
        if text == self._drawn or (now - self._drawn_at < _REDRAW_SECONDS and done < total):
            return
        _write(self._stream, "\r" + text.ljust(len(self._drawn)))
        self._drawn, self._drawn_at = text, now

    def end(self) -> None:
        """Leave the last state of the line standing and begin a new one."""
        if self._drawn:
            _write(self._stream, "\n")
        self._drawn, self._drawn_at = "", float("-inf")


class LogProgress:
    """Adds a line at each quarter, and every few seconds where a quarter takes long."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._label = ""
        self._step = 0
        self._written = ""
        self._written_at = 0.0

    def say(self, text: str) -> None:
        """Write a line."""
        _write(self._stream, f"{text}\n")

    def measure(self, label: str, done: int, total: int) -> None:
        """Write a line if there is enough news."""
        now = self._clock()
        if label != self._label:
            self._label, self._step, self._written_at = label, 0, now
        step = _LOG_STEP * done // total if total else 0
        text = measured(label, done, total)
        enough = step > self._step or now - self._written_at >= _LOG_SECONDS
        if enough and text != self._written:
            self._step, self._written, self._written_at = step, text, now
            _write(self._stream, f"{text}\n")

    def end(self) -> None:
        """Forget what was measured; lines are always whole."""
        self._label = ""


def progress_on(stream: TextIO) -> Progress:
    """The progress that suits a stream: a redrawn line on a terminal, else lines in a log."""
    return TerminalProgress(stream) if stream.isatty() else LogProgress(stream)


def measured(label: str, done: int, total: int) -> str:
    """`codex-cli 1.2.3: 83 of 167 MB`."""
    done = min(done, total)
    return f"{label}: {megabytes(done)} of {megabytes(total)} MB"


def megabytes(count: int) -> int:
    """Bytes as whole millions, rounded; something is never rounded to nothing."""
    return max(round(count / _MEGABYTE), 1 if count else 0)


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        pass  # nobody is listening any more; that is no reason to stop installing
