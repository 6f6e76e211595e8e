"""A client of a run as a process of its own, and its supervisor, which is the test."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moat.run import control

ATTACHING = Path(__file__).with_name("attaching.py")
_MESSAGES = (control.SIGNAL, control.RESIZE, control.ANSWER)
# Makes the terminal that is standard input the one of a session of its own.
_AT_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "&":
    if child := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.setpgid(0, 0)
elif sys.argv[1] != "-":
    os.dup2(os.open(sys.argv[1], os.O_RDONLY), 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass
class Played:
    """The supervisor's end of a channel, and the process at the other."""

    channel: socket.socket
    process: subprocess.Popen[bytes]
    result: int
    deframer: control.Deframer = field(default_factory=control.Deframer)
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)
    skipped: set[bytes] = field(default_factory=set)
    """Kinds of frames that are passed over once: what a client at a terminal says of it first."""

    def say(self, *frames: bytes) -> None:
        """Send frames to the client."""
        for frame in frames:
            self.channel.sendall(frame)

    def hear(self, *, seconds: float = 10) -> tuple[bytes, Any]:
        """The next frame of the client; the payload of a message as its value."""
        give_up = time.monotonic() + seconds
        while not self.heard:
            self.channel.settimeout(max(0.01, give_up - time.monotonic()))
            data = self.channel.recv(1 << 16)
            assert data, "the client has gone"
            for kind, payload in self.deframer.feed(data):
                if kind in self.skipped:
                    self.skipped.remove(kind)
                else:
                    self.heard.append((kind, payload))
        kind, payload = self.heard.pop(0)
        return kind, json.loads(payload) if kind in _MESSAGES else payload

    def hears_nothing(self, seconds: float = 0.3) -> bool:
        """Whether the client keeps silent."""
        try:
            self.heard.append(self.hear(seconds=seconds))
        except TimeoutError:
            return True
        return False

    def end(self, code: int = 0, error: str | None = None) -> None:
        """Tell the client that the run has ended."""
        self.say(control.message(control.EXIT, code=code, run="0", error=error, hint=None))

    def ended(self) -> tuple[int, list[str] | None]:
        """How the client says that the run ended: code, and kind and text of an error."""
        assert 0 == self.process.wait(20)
        code, error = json.loads(os.read(self.result, 10_000))
        return code, error


Start = Callable[..., Played]


def starting() -> Iterator[Start]:
    """Starts clients; ends them with the test.

    `session` has a client sit at the terminal that is its standard input: "-" as it is, "&" in
    the background, the name of a file reading that instead.
    """
    started: list[Played] = []

    def begin(
        *, terminal: bool = False, reads: bool = True, session: str = "", **streams: Any
    ) -> Played:
        ours, theirs = socket.socketpair()
        result, writes = os.pipe()
        given = [theirs.fileno(), writes, int(terminal), int(reads)]
        command = [sys.executable, str(ATTACHING), *map(str, given)]
        if session:
            command = [sys.executable, "-I", "-c", _AT_TERMINAL, session, *command]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | streams
        process = subprocess.Popen(command, pass_fds=[theirs.fileno(), writes], **streams)
        theirs.close()
        os.close(writes)
        skipped = {control.PLACE, control.RESIZE} if terminal else set()
        started.append(Played(ours, process, result, skipped=skipped))
        return started[-1]

    yield begin
    for played in started:
        played.channel.close()
        if played.process.poll() is None:
            played.process.kill()
        for stream in (played.process.stdin, played.process.stdout, played.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        played.process.wait()
        os.close(played.result)


def out(data: bytes) -> bytes:
    """Output of the box."""
    return control.frame(control.STDOUT, data)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        select.select((), (), (), 0.01)
