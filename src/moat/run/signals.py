"""Signals as bytes to be polled for, beside whatever else may come."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_as_bytes(terminal: bool) -> Iterator[socket.socket]:
    """A socket that yields the numbers of the signals that came."""

    def noted(_: int, __: FrameType | None) -> None:
        """The wake-up descriptor has it."""

    reads, writes = socket.socketpair()
    reads.setblocking(False)
    writes.setblocking(False)
    numbers = (*_SIGNALS, signal.SIGWINCH) if terminal else _SIGNALS
    before = {number: signal.signal(number, noted) for number in numbers}
    wakeup = signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
    try:
        yield reads
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reads.close()
        writes.close()
