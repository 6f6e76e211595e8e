"""Run npm or pip: watched while it runs, ended when we end, its complaints made readable."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 0.2
_LAST_TICK_SECONDS = 0.01
_PATIENCE_SECONDS = 3.0  # between asking a child to end and making it
_KEPT_BYTES = 16_384
_KEPT_LINES = 8
_KEPT_COLUMNS = 300

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_URL_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_PREFIX = re.compile(r"^(?:npm (?:error|ERR!)|ERROR:)\s*(?:code |[0-9]{3}\b\s*)?")
_NOISE = re.compile(
    r"complete log of this run|^\[notice\]|^npm (?:notice|warn)|^WARNING: You are us"
)
_NO_SPACE = re.compile(rb"\bENOSPC\b|\bEDQUOT\b|No space left on device|Disk quota exceeded")


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int
    """Its exit code, or minus the signal that killed it."""
    complaint: str
    """The last telling lines it wrote to stderr, joined by newlines; may be empty."""
    out_of_space: bool
    """Whether it said that the disk is full."""

    def __str__(self) -> str:
        """`exited with code 1: …`, to follow the child's name."""
        how = (
            f"exited with code {self.code}"
            if self.code >= 0
            else f"was killed by signal {-self.code}"
        )
        return f"{how}: {self.complaint}" if self.complaint else how


def run_child(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    watch: Callable[[], None] | None = None,
) -> Ended:
    """Run a program to its end, calling `watch` about five times a second.

    It gets no stdin and a process group of its own, so a Ctrl-C at the terminal reaches us alone;
    whatever is raised while it runs ends the whole group first. OSError if it cannot be started.
    """
    launch = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
    process = subprocess.Popen(
        [*launch, str(os.getpid()), *argv],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        umask=0o022,
    )
    try:
        tail = _follow(process, watch or (lambda: None))
    finally:
        code = _end(process)
    return Ended(code, readable(tail), _NO_SPACE.search(tail) is not None)


def readable(output: bytes) -> str:
    """The last lines a person wants of what a program wrote, without control characters."""
    text = _ESCAPES.sub("", output.decode("utf-8", "replace"))
    lines: list[str] = []
    for raw in re.split(r"[\r\n]+", text):
        if _NOISE.search(raw):
            continue
        line = "".join(c for c in raw if c.isprintable())
        line = _URL_LOGIN.sub("***@", _PREFIX.sub("", line)).strip()
        if line and line not in lines:
            lines.append(line[:_KEPT_COLUMNS])
    return "\n".join(lines[-_KEPT_LINES:])


def largest_file(folder: Path) -> int:
    """The size of the largest file below a folder that others are writing to.

    What is being downloaded is the largest; a sum would count it twice where it is copied.
    """
    largest = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.lstat(os.path.join(directory, name)).st_size)  # noqa: PTH118
            except OSError:
                pass  # gone or renamed since it was listed
    return largest


def _follow(process: subprocess.Popen[bytes], watch: Callable[[], None]) -> bytes:
    """Read stderr until the child ends.

    A pipe, for nothing can be written to a file when the disk is full.
    """
    assert process.stderr is not None
    stderr, tail = process.stderr.fileno(), b""
    os.set_blocking(stderr, False)
    with selectors.DefaultSelector() as selector:
        selector.register(stderr, selectors.EVENT_READ)
        ended, closed = False, False
        while not ended:
            # Asked before reading: what an ended child wrote is then all there to be read. Its
            # children may hold the pipe open for ever, so the pipe's end is not waited for.
            ended = _has_ended(process)
            selector.select(0 if ended else _LAST_TICK_SECONDS if closed else _TICK_SECONDS)
            if not closed:
                news, closed = _read_nowait(stderr)
                tail = (tail + news)[-_KEPT_BYTES:]
                if closed:
                    selector.unregister(stderr)
            watch()
    return tail


def _read_nowait(fd: int) -> tuple[bytes, bool]:
    """What is there to be read, and whether the other end is closed."""
    news = b""
    while True:
        try:
            block = os.read(fd, 65_536)
        except BlockingIOError:
            return news, False
        if not block:
            return news, True
        news = (news + block)[-_KEPT_BYTES:]


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the child is dead, leaving it unreaped: its group's number stays taken."""
    state = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return state is not None


def _end(process: subprocess.Popen[bytes]) -> int:
    """Make sure that the child, its children and our end of the pipe are gone; its exit code."""
    if not _has_ended(process):
        os.killpg(process.pid, signal.SIGTERM)
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not _has_ended(process) and time.monotonic() < give_up:
            time.sleep(_LAST_TICK_SECONDS)
    os.killpg(process.pid, signal.SIGKILL)
    if process.stderr is not None:
        process.stderr.close()
    return process.wait()
