"""A person's terminal: what they see and type, and a shell's end of it that outlives a command."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from support.cli import Cli


class Terminal:
    """A pseudo-terminal; `slave` is what commands run on, this side is the person's."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self._master, self.slave = os.openpty()
        termios.tcsetwinsize(self._master, (rows, columns))
        self.seen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.slave)
        os.close(self._master)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def look(self, seconds: float = 0.05) -> bytes:
        """Look at the screen for a while; all that was ever on it."""
        if select.select([self._master], [], [], seconds)[0]:
            self.seen += os.read(self._master, 1 << 16)
        return self.seen

    def wait_for(self, text: bytes, seconds: float = 30) -> None:
        """Look at the screen until a text was on it."""
        end = time.monotonic() + seconds
        while text not in self.look():
            assert time.monotonic() < end, f"{text!r} did not come: {self.seen[-2000:]!r}"

    def unread(self) -> bytes:
        """What was typed and no command has read: what the shell would read next."""
        before = termios.tcgetattr(self.slave)
        raw = termios.tcgetattr(self.slave)
        raw[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(self.slave, termios.TCSANOW, raw)
        try:
            return os.read(self.slave, 1000) if select.select([self.slave], [], [], 0)[0] else b""
        finally:
            termios.tcsetattr(self.slave, termios.TCSANOW, before)

    def wait(self, process: subprocess.Popen[bytes], seconds: float = 30) -> int:
        """Look at the screen until a command has ended; its exit code."""
        end = time.monotonic() + seconds
        while process.poll() is None:
            self.look()
            assert time.monotonic() < end, f"it has not ended: {self.seen[-2000:]!r}"
        while len(self.seen) < len(self.look()):
            pass
        return process.returncode

    @contextmanager
    def running(self, cli: Cli, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command line of the Cli, as the foreground job of a session at this terminal."""
        become = len(cli.python) - 1
        owner = cli.home.stat()
        os.fchown(self.slave, owner.st_uid, owner.st_gid)
        process = subprocess.Popen(
            [*cli.python, "-I", "-c", _AT_TERMINAL, *command[become:]],
            cwd=cli.workspace,
            env=cli.environ(),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
