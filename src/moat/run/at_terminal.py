"""Puts a question at the terminal of a run's client, and reads the answer from it.

Either the run has the terminal, keys and screen, and the client is in between; or it works on
pipes, and the question goes to the terminal the client was started from, if it is there.
"""

from __future__ import annotations

import contextlib
import math
import os
import termios
import time
from collections.abc import Callable

from moat.core.redact import printable
from moat.errors import MoatError, system_error
from moat.run.question import ALWAYS, LATER, Answer, Asked, Dialog
from moat.terminal.overlay import Overlay

# Stores for good that a host, as HostPattern writes it, is allowed. Raises MoatError or OSError.
StoreAlways = Callable[[str], None]


class AtTerminal:
    """At most one question at a time.

    `has_run` says that the run has the terminal, which is in raw mode then.
    """

    def __init__(self, overlay: Overlay, store: StoreAlways, *, has_run: bool) -> None:
        self._overlay = overlay
        self._store = store
        self._has_run = has_run
        self._plain = os.environ.get("TERM", "dumb") in ("", "dumb")
        self._terminal: int | None = None
        self._before: list[int | list[bytes | int]] = []
        self._dialog: Dialog

    @property
    def keys(self) -> int | None:
        """Where the answer comes from; None while nothing is asked."""
        return self._terminal

    @property
    def asked(self) -> Asked | None:
        """The question that is on the screen."""
        return None if self._terminal is None else self._dialog.asked

    def ask(self, asked: Asked) -> bool:
        """Put a question; False where there is no terminal to put it at."""
        try:
            terminal = self._take()
        except (OSError, termios.error):
            return False
        self._dialog = Dialog(asked, time.monotonic())
        if terminal is None or self._lines(terminal) is None:
            self._give_back(terminal)
            return False
        self._terminal = terminal
        self._write(b"" if self._plain else self._overlay.begin())
        self.draw()
        return True

    def timeout(self) -> int | None:
        """Milliseconds after which `pass_time` has something to do."""
        remaining = None if self._terminal is None else self._dialog.remaining(time.monotonic())
        return None if remaining is None else math.ceil(remaining * 1000)

    def pass_time(self) -> None:
        """See whether keys count by now; those that came before do not."""
        if self._terminal is not None and self._dialog.wait(time.monotonic()):
            with contextlib.suppress(termios.error):
                termios.tcflush(self._terminal, termios.TCIFLUSH)
            self.draw()

    def read(self) -> Answer | None:
        """Read keys; the answer, once they are one. The question is on the screen until `close`."""
        assert self._terminal is not None
        try:
            data = os.read(self._terminal, 1024)
        except OSError:
            data = b""
        if not data:
            return LATER  # it has hung up
        answer = self._dialog.keys(data, time.monotonic())
        if answer == ALWAYS and (why := self._stored()) is not None:
            self._dialog.again(f"That cannot be stored: {printable(why)}", time.monotonic())
            answer = None
        self.draw()
        return answer

    def _stored(self) -> str | None:
        """Store that the host is allowed; why it could not be done."""
        try:
            self._store(self._dialog.asked.host)
        except MoatError as error:
            return error.message
        except OSError as error:
            return system_error(error).message
        return None

    def draw(self) -> None:
        """Draw the question, once more if the terminal has another size by now."""
        if self._terminal is None:
            return
        lines = self._lines(self._terminal) or ["a question waits, but this window is too small"]
        self._write("\n".join(["", *lines]).encode() if self._plain else self._overlay.draw(lines))

    def close(self) -> bool:
        """Take the question off the screen; True if the program has to draw its own again."""
        if self._terminal is None:
            return False
        terminal, plain = self._terminal, self._plain
        self._write(b"\n" if plain else self._overlay.end())
        self._terminal = None
        self._give_back(terminal)
        return not plain and self._overlay.modes.on_other_screen

    def _lines(self, terminal: int) -> list[str] | None:
        try:
            size = os.get_terminal_size(terminal)
        except OSError:
            return None
        return self._dialog.lines(size.lines or 24, size.columns or 80)

    def _take(self) -> int | None:
        """The terminal, ready for keys and with none waiting. Raises OSError or termios.error."""
        if self._has_run:
            termios.tcflush(0, termios.TCIFLUSH)
            return 0
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if os.tcgetpgrp(terminal) != os.getpgrp():
                os.close(terminal)  # somebody else reads from it
                return None
            self._before = termios.tcgetattr(terminal)
            mode = termios.tcgetattr(terminal)
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            mode[6][termios.VSUSP] = b"\0"  # it would leave the terminal like this
            termios.tcsetattr(terminal, termios.TCSAFLUSH, mode)
        except BaseException:
            os.close(terminal)
            raise
        return terminal

    def _give_back(self, terminal: int | None) -> None:
        if self._has_run or terminal is None:
            return
        with contextlib.suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSAFLUSH, self._before)
        os.close(terminal)

    def _write(self, data: bytes) -> None:
        descriptor = 1 if self._has_run else self._terminal
        with contextlib.suppress(OSError):  # it has hung up
            while data and descriptor is not None:
                data = data[os.write(descriptor, data) :]
