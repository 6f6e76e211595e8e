"""The command line's side of a run: copies bytes both ways until the run has ended.

Plain blocking code over `poll`: it starts at once, and is one screenful of states.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

from moat.errors import Interrupted, MoatError
from moat.run import control
from moat.run.modes import Modes

_CHUNK = 1 << 16
_OUTPUTS = {control.STDOUT: 1, control.STDERR: 2}
# Milliseconds a reader of our output may take nothing once the run was asked to end.
_PATIENCE_MS = 1000
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, as its supervisor told it."""

    code: int
    error: MoatError | None


_DIED = Ended(1, MoatError("the run's supervisor died", hint="run: moat doctor"))


def attach(
    channel: socket.socket, *, terminal: bool, stdin: bool, unblock: Iterable[signal.Signals]
) -> Ended:
    """Be the client of a run until it ends.

    `terminal` puts the person's terminal in raw mode, so that every key reaches the box;
    `stdin` says whether standard input is the run's. Signals are passed on; those of `unblock`
    were kept waiting until there was somebody to pass them on.
    """
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(_signals_as_bytes(terminal))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblock)
        if terminal:
            stack.enter_context(_raw_terminal(0))
        client = _Client(channel, signals, terminal)
        if terminal:
            stack.callback(client.leave_terminal)
        if not stdin:
            client.send(control.frame(control.STDIN_END))
        return client.run(reads_stdin=stdin)


class _Client:
    def __init__(self, channel: socket.socket, signals: socket.socket, terminal: bool) -> None:
        self._channel = channel
        self._signals = signals
        self._terminal = terminal
        self._deframer = control.Deframer()
        self._window = control.STDIN_WINDOW
        self._broken: set[int] = set()
        self._unwritten: OSError | None = None  # why what was printed could not be written
        self._signalled: set[int] = set()
        self._modes = Modes()

    def run(self, *, reads_stdin: bool) -> Ended:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        reading = False
        while True:
            if reads_stdin and reading != (self._window > 0):
                reading = not reading
                poll.register(0, select.POLLIN) if reading else poll.unregister(0)
            for descriptor, _ in poll.poll():
                if descriptor == self._channel.fileno():
                    try:
                        ended = self._receive()
                    except (control.ProtocolError, ValueError, KeyError):
                        ended = _DIED
                    if ended is not None:
                        return ended
                elif descriptor == self._signals.fileno():
                    self._pass_signals_on()
                elif reading and not self._pass_input_on():
                    poll.unregister(0)
                    reads_stdin = False

    def send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError:
            pass  # the supervisor is ending; what it says last is still to be read

    def _receive(self) -> Ended | None:
        try:
            data = self._channel.recv(_CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            return _DIED
        for kind, payload in self._deframer.feed(data):
            if kind in _OUTPUTS:
                self._print(kind, payload)
            elif kind == control.STDIN_TAKEN:
                self._window += int(json.loads(payload)["bytes"])
            elif kind == control.EXIT:
                return self._ended(json.loads(payload))
        return None

    def _ended(self, told: dict[str, object]) -> Ended:
        code = int(str(told["code"]))
        if told["error"] is not None:
            hint = str(told["hint"]) if told["hint"] else None
            return Ended(code, MoatError(str(told["error"]), hint=hint))
        if code == 128 + signal.SIGINT and signal.SIGINT in self._signalled:
            return Ended(code, Interrupted())
        if self._unwritten is not None:
            reason = self._unwritten.strerror
            return Ended(code or 1, MoatError(f"the run's output cannot be written: {reason}"))
        return Ended(code, None)

    def _print(self, kind: bytes, data: bytes) -> None:
        """Write to the person, while signals go on being passed on.

        Where nobody reads, the box is told, and the command's next write fails: what becomes
        of it is its own affair, as in any pipe.
        """
        descriptor = _OUTPUTS[kind]
        view = memoryview(data)
        while view and descriptor not in self._broken:
            try:
                if self._wait_writable(descriptor):
                    written = os.write(descriptor, view[: select.PIPE_BUF])
                    if self._terminal:
                        self._modes.feed(bytes(view[:written]))
                    view = view[written:]
                else:
                    self._give_up(kind)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.EPIPE and not self._terminal:
                    self._unwritten = error
                self._give_up(kind)

    def leave_terminal(self) -> None:
        """Switch off what a program that was killed has left on."""
        if undo := self._modes.undo():
            with contextlib.suppress(OSError):  # it has hung up
                os.write(1, undo)

    def _wait_writable(self, descriptor: int) -> bool:
        """Wait for room; once asked to end, a reader who takes nothing for a while is gone."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.register(self._signals, select.POLLIN)
        while ready := dict(poll.poll(_PATIENCE_MS if self._signalled else None)):
            if self._signals.fileno() in ready:
                self._pass_signals_on()
            if descriptor in ready:
                return True
        return False

    def _give_up(self, kind: bytes) -> None:
        self._broken.add(_OUTPUTS[kind])
        if self._terminal:  # it has hung up, or else the command could not be told
            self.send(control.message(control.SIGNAL, number=int(signal.SIGHUP)))
        else:
            self.send(control.frame(control.CLOSED, kind))

    def _pass_input_on(self) -> bool:
        try:
            data = os.read(0, min(_CHUNK, self._window))
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.send(control.frame(control.STDIN_END))
            return False
        self._window -= len(data)
        self.send(control.frame(control.STDIN, data))
        return True

    def _pass_signals_on(self) -> None:
        for number in self._signals.recv(64):
            if number == signal.SIGWINCH:
                with contextlib.suppress(OSError):  # it has hung up
                    size = os.get_terminal_size(0)
                    self.send(
                        control.message(control.RESIZE, rows=size.lines, columns=size.columns)
                    )
            else:
                self._signalled.add(number)
                self.send(control.message(control.SIGNAL, number=number))


@contextlib.contextmanager
def _signals_as_bytes(terminal: bool) -> Iterator[socket.socket]:
    """A socket that yields the numbers of the signals that came."""

    def noted(_: int, __: FrameType | None) -> None:
        """The wake-up descriptor has it."""

    reads, writes = socket.socketpair()
    reads.setblocking(False)
    writes.setblocking(False)
    numbers = (*_FORWARDED, signal.SIGWINCH) if terminal else _FORWARDED
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


@contextlib.contextmanager
def _raw_terminal(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has hung up
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
