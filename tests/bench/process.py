"""The processes of a measurement: started, told apart by pid, and ended with us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_START_SECONDS = 60.0
_LIBC = ctypes.CDLL(None)


@contextlib.contextmanager
def started(
    command: Sequence[str], port: int, *, log: Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process that serves a port of 127.0.0.1; gives its pid once it does.

    `env` is added to our variables.
    Raises RuntimeError with the end of its output when it does not come to serve.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_us,  # we have no threads
        )
    try:
        if not _serves(port, process):
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{Path(command[0]).name} does not serve its port: {said}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, all its threads and those that have ended, in user and kernel.

    This is clock_getcpuclockid(3): what /proc/PID/stat counts in ticks, in nanoseconds.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    """Memory of a process in bytes, as the kernel counts it: VmRSS."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def _end_with_us() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _serves(port: int, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False
