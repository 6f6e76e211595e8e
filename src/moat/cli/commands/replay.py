"""`moat replay`: what a run's terminal showed, again."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from types import FrameType

from moat.cli.options import Parser, find_home
from moat.cli.output import say
from moat.errors import MoatError, UsageError
from moat.ledger.transcript_read import CastReading, Event, LogReading, open_transcript
from moat.run.finding import find_run
from moat.run.record import RunDirectory
from moat.terminal.filter import Filter
from moat.terminal.modes import Modes

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IDLE = 2.0  # seconds that nothing may happen


def main(arguments: list[str]) -> int:
    """Play it."""
    parser = Parser(
        "replay",
        "Show what a run's terminal showed, as it happened. What would act on yours is left out. "
        "Ctrl-C or q ends it. Other players of asciicasts take the file as well: "
        "runs/ID/transcript.cast in Moat's directory.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="id or its beginning (the latest)")
    parser.add_argument("--speed", metavar="X", default="1", help="so many times as fast (1)")
    parser.add_argument(
        "--idle-limit",
        metavar="SECONDS",
        default=str(_IDLE),
        help=f"the longest pause, in seconds of the run ({_IDLE:g}); 0 for none at all",
    )
    args = parser.parse_args(arguments)
    speed = _number(args.speed, "--speed", least=0.01)
    idle = _number(args.idle_limit, "--idle-limit", least=0)
    runs = find_home().runs
    run = find_run(runs, args.run).run
    reading = open_transcript(RunDirectory(runs, run).root)
    if isinstance(reading, LogReading):
        raise MoatError(
            f"run {run} had no terminal, so there is nothing to replay",
            hint=f"what it printed: moat logs {run}",
        )
    if reading is None:
        raise MoatError(
            f"nothing was recorded of run {run}", hint=f"how it stands: moat status {run}"
        )
    _tell_size(reading)
    with contextlib.closing(reading), _terminal() as stop:
        _play(reading.events(), speed, idle, stop)
    return 0


def _number(text: str, option: str, *, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number <= 1e6:
        raise UsageError(f"{option}: {text!r} is no number from {least:g} to 1000000")
    return number


def _tell_size(reading: CastReading) -> None:
    """A screen that was larger than this one looks torn: say so before."""
    header = reading.header()
    with contextlib.suppress(OSError):
        size = os.get_terminal_size(1)
        if header and (size.columns < header.columns or size.lines < header.rows):
            say(f"it was shown on {header.columns}x{header.rows}; this terminal is smaller")


def _play(events: Iterable[Event], speed: float, idle: float, stop: _Stop) -> None:
    """Write what was shown when it is time, and then undo what it has switched on."""
    kept, modes = Filter(), Modes()
    at = 0.0
    due = time.monotonic()
    try:
        for event in events:
            due += min(max(0.0, event.seconds - at), idle) / speed
            at = event.seconds
            if stop.within(due - time.monotonic()):
                _write(b"\r\n")
                break
            if event.kind == "o":
                shown = kept.feed(event.text.encode(errors="replace")).shown
                modes.feed(shown)
                _write(shown)
    finally:
        _write(modes.undo())


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class _Stop:
    """Whether the person has had enough: a signal came, or a key was pressed."""

    def __init__(self, keys: int | None) -> None:
        self._keys = keys
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)

    def signalled(self, _: int, __: FrameType | None) -> None:
        os.write(self._writes, b"\0")

    def within(self, seconds: float) -> bool:
        """Wait so long for it."""
        end = time.monotonic() + seconds
        while True:
            sources = [self._reads] if self._keys is None else [self._reads, self._keys]
            ready, _, _ = select.select(sources, [], [], max(0.0, end - time.monotonic()))
            if self._reads in ready:
                return True
            if not ready:
                return False
            typed = os.read(self._keys or 0, 1024)
            if not typed or b"\x03" in typed or b"q" in typed:
                return True
            # Anything else is not for us, and not for the shell either.

    def close(self) -> None:
        os.close(self._reads)
        os.close(self._writes)


@contextlib.contextmanager
def _terminal() -> Iterator[_Stop]:
    """The person's terminal with keys as they come and unseen, and as it was afterwards."""
    # Nor are line feeds added to: what is played went through another terminal's driver.
    ours = [number for number in (0, 1) if _is_ours(number)]
    stop = _Stop(0 if 0 in ours else None)
    handlers = {number: signal.signal(number, stop.signalled) for number in _SIGNALS}
    before = termios.tcgetattr(ours[0]) if ours else None
    try:
        if ours:
            mode = termios.tcgetattr(ours[0])
            mode[1] &= ~termios.OPOST
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            mode[6][termios.VSUSP] = b"\0"  # it would leave the terminal like this
            termios.tcsetattr(ours[0], termios.TCSADRAIN, mode)
        yield stop
    finally:
        if before is not None:
            with contextlib.suppress(termios.error):  # it has hung up
                termios.tcsetattr(ours[0], termios.TCSAFLUSH, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        stop.close()


def _is_ours(descriptor: int) -> bool:
    """Whether it is a terminal, and we in its foreground."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
