"""What a run prints, written for the person: filtered, and so that the terminal can be put back."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from moat.run import control
from moat.run.part import Part
from moat.run.terminal_keeper import TerminalKeeper
from moat.terminal.overlay import Overlay

if TYPE_CHECKING:
    from moat.terminal.filter import Filter

OUTPUTS = {control.STDOUT: 1, control.STDERR: 2}
# Milliseconds a reader of our output may take nothing once the run was asked to end.
_PATIENCE_MS = 1000


class Printer:
    """Writes what a run prints to our own outputs, while signals go on being passed on.

    `signals` is polled beside the outputs and `pass_on` called when there are some. `ends` says
    whether the run was asked to end. `gone` is told of an output that nobody reads any more.
    """

    def __init__(
        self,
        part: Part,
        keeper: TerminalKeeper | None,
        signals: socket.socket,
        *,
        pass_on: Callable[[], None],
        ends: Callable[[], bool],
        gone: Callable[[bytes], None],
    ) -> None:
        self.overlay = Overlay()
        """What is drawn over the run's own output, and what the run has switched on."""
        self.unwritten: OSError | None = None
        """Why what was printed could not be written."""
        self._keeper = keeper
        self._signals = signals
        self._pass_on = pass_on
        self._ends = ends
        self._gone = gone
        self._terminal = part.terminal
        self._broken: set[int] = set()
        self._drawn_on = {number for number in (1, 2) if os.isatty(number)}
        self._filters = _filters(part, self._drawn_on)

    def print(self, kind: bytes, data: bytes) -> None:
        """Write something of one of OUTPUTS.

        Where nobody reads, the box is told, and the command's next write fails: what becomes
        of it is its own affair, as in any pipe.
        """
        descriptor = OUTPUTS[kind]
        if descriptor in self._filters:
            data = self._filters[descriptor].feed(data).shown
        view = memoryview(data)
        while view and descriptor not in self._broken:
            try:
                if self._wait_writable(descriptor):
                    written = os.write(descriptor, view[: select.PIPE_BUF])
                    if descriptor in self._drawn_on:
                        self.overlay.feed(bytes(view[:written]))
                        if self._keeper is not None:
                            self._keeper.undo(self.overlay.modes.undo())
                    view = view[written:]
                else:
                    self._give_up(kind)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.EPIPE and not self._terminal:
                    self.unwritten = error
                self._give_up(kind)

    def put_back(self) -> None:
        """Switch off what a program has left on that was killed, or that goes on elsewhere."""
        if undo := self.overlay.modes.undo():
            terminals = {os.fstat(number).st_rdev: number for number in self._drawn_on}
            for descriptor in terminals.values():
                with contextlib.suppress(OSError):  # it has hung up
                    os.write(descriptor, undo)
            self.overlay.feed(undo)

    def _wait_writable(self, descriptor: int) -> bool:
        """Wait for room; once asked to end, a reader who takes nothing for a while is gone."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.register(self._signals, select.POLLIN)
        while ready := dict(poll.poll(_PATIENCE_MS if self._ends() else None)):
            if self._signals.fileno() in ready:
                self._pass_on()
            if descriptor in ready:
                return True
        return False

    def _give_up(self, kind: bytes) -> None:
        self._broken.add(OUTPUTS[kind])
        self._gone(kind)


def _filters(part: Part, terminals: Iterable[int]) -> dict[int, Filter]:
    """What keeps a run without a terminal from doing things to the person's; one that has a
    terminal is filtered where it is kept."""
    if part.terminal or part.unfiltered:
        return {}
    filters: dict[int, Filter] = {}
    for descriptor in terminals:
        from moat.terminal.filter import Filter  # here, as in a pipe there is nothing to be kept

        filters[descriptor] = Filter()
    return filters
