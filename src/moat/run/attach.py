"""The command line's side of a run: copies bytes both ways until the run has ended, or it leaves.

Plain blocking code over `poll`: it starts at once, and is one screenful of states.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from moat.errors import Interrupted, MoatError
from moat.run import control
from moat.run.at_terminal import AtTerminal, StoreAlways
from moat.run.own_terminal import Asked as AskedTerminal
from moat.run.own_terminal import below_all, raw_terminal
from moat.run.part import Ended, Part
from moat.run.printing import OUTPUTS, Printer
from moat.run.question import LATER, NO, Answer, Asked
from moat.run.signals import signals_as_bytes
from moat.run.terminal_keeper import TerminalKeeper, kept_terminal

if TYPE_CHECKING:
    from moat.terminal.keys import DetachKeys

_CHUNK = 1 << 16
# Seconds between two sizes of a window, so that a program sees both.
_SEEN = 0.1
# What leaves a run that is only watched, as in a pager.
_LEAVES = (b"\x03", b"q")


_DIED = Ended(
    1,
    MoatError("the run's supervisor died, and the run with it", hint="what there is: moat list -a"),
    died=True,
)


def attach(
    channel: socket.socket, part: Part, *, unblock: Iterable[signal.Signals], store: StoreAlways
) -> Ended:
    """Be the client of a run until it ends, or we leave.

    Signals are passed on; those of `unblock` were kept waiting until there was somebody to pass
    them on. `store` keeps what the person allows for good when asked.
    """
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(signals_as_bytes(part.terminal))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblock)
        keeper = None
        if part.terminal:
            keeper = stack.enter_context(kept_terminal(0))
            stack.enter_context(raw_terminal(0))
        client = _Client(channel, signals, part, store, keeper)
        stack.callback(client.leave_terminal)
        if not part.stdin and not part.watches:
            client.send(control.frame(control.STDIN_END))
        return client.run()


class _Client:
    def __init__(
        self,
        channel: socket.socket,
        signals: socket.socket,
        part: Part,
        store: StoreAlways,
        keeper: TerminalKeeper | None,
    ) -> None:
        self._channel = channel
        self._signals = signals
        self._part = part
        self._terminal = part.terminal
        self._deframer = control.Deframer()
        self._window = control.STDIN_WINDOW
        self._signalled: set[int] = set()
        self._left: Ended | None = None
        self._printer = Printer(
            part,
            keeper,
            signals,
            pass_on=self._pass_signals_on,
            ends=lambda: bool(self._signalled),
            gone=self._give_up,
        )
        self._at_terminal = AtTerminal(self._printer.overlay, store, has_run=part.terminal)
        self._asked = AskedTerminal()
        self._keys = _detach_keys(part)

    def run(self) -> Ended:
        self._reads_stdin = self._part.stdin or (self._part.watches and self._terminal)
        try:
            if self._terminal:
                self._take_terminal()
            while (ended := self._turn()) is None:
                if self._left is not None:
                    self.send(control.frame(control.DETACH))
                    return self._left
            return ended
        finally:
            self._at_terminal.close()

    def _turn(self) -> Ended | None:
        """Wait until something happens, and do what is to be done; how the run ended, if it has."""
        self._at_terminal.pass_time()
        keys = self._at_terminal.keys
        reads = keys is None and self._reads_stdin and self._window > 0
        poll = select.poll()
        for source in (self._channel, self._signals, keys, 0 if reads else None):
            if source is not None:
                poll.register(source, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(self._at_terminal.timeout())}
        # First what was typed, as all the others may change to whom that goes.
        if keys is not None and keys in ready:
            self._hear_keys()
        elif 0 in ready:
            self._reads_stdin = self._pass_input_on()
        if self._signals.fileno() in ready:
            self._pass_signals_on()
        if self._channel.fileno() in ready:
            try:
                return self._receive()
            except (control.ProtocolError, ValueError, KeyError):
                return _DIED
        return None

    def _take_terminal(self) -> None:
        """Say how large it is, and where its cursor stands."""
        if self._part.watches:
            return
        place, typed = self._asked.ask()
        self.send(control.message(control.PLACE, **place))
        if typed:
            self._type(typed)
        self._tell_size()

    def _leave(self, why: str, code: int = 0) -> None:
        """Go at the next turn; the run goes on."""
        self._left = self._left or Ended(code, None, why)

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
            if kind in OUTPUTS:
                # Who starts a run in the background does not want to read it here.
                if not self._part.leaves:
                    self._printer.print(kind, payload)
            elif kind == control.STDIN_TAKEN:
                self._window += int(json.loads(payload)["bytes"])
            elif kind == control.QUESTION:
                self._ask(Asked.of(json.loads(payload)))
            elif kind == control.WITHDRAWN:
                asked = self._at_terminal.asked
                if asked is not None and asked.id == json.loads(payload)["id"]:
                    self._stop_asking()
            elif kind == control.STARTED and self._part.leaves:
                self._leave("it was started in the background")
            elif kind == control.DETACHED:
                return Ended(0, None, str(json.loads(payload)["why"]))
            elif kind == control.SKIPPED:
                # What is drawn anew begins from what was there before the run.
                self._printer.put_back()
                self._note(f"{json.loads(payload)['bytes']} bytes went by unseen; see: moat logs")
            elif kind == control.EXIT:
                return self._ended(json.loads(payload))
        return None

    # what the run asks the person

    def _ask(self, asked: Asked) -> None:
        if not self._at_terminal.ask(asked):
            self._note(f"the run waits to reach {asked.host}; to answer: moat approve")
            self._answer(asked, LATER)

    def _hear_keys(self) -> None:
        asked, answer = self._at_terminal.asked, self._at_terminal.read()
        if asked is not None and answer is not None:
            self._stop_asking()
            self._answer(asked, answer)

    def _answer(self, asked: Asked, answer: Answer) -> None:
        self.send(
            control.message(control.ANSWER, id=asked.id, action=answer.action, extent=answer.extent)
        )
        if answer != LATER:
            self._note(answer.done(asked))

    def _stop_asking(self) -> None:
        """Take the question off the screen, and have the program draw there again."""
        if self._at_terminal.close() and self._terminal:
            with contextlib.suppress(OSError):  # it has hung up
                size = os.get_terminal_size(0)
                # To a window that is as before there is nothing to draw.
                self._send_size(max(1, size.lines - 1), size.columns)
                time.sleep(_SEEN)
                self._send_size(size.lines, size.columns)

    def _note(self, text: str) -> None:
        """Tell the person something, unless the run has the terminal."""
        if not self._terminal:
            with contextlib.suppress(OSError):  # nobody reads it
                os.write(2, f"moat: {text}\n".encode())

    def _ended(self, told: dict[str, object]) -> Ended:
        code = int(str(told["code"]))
        if told["error"] is not None:
            hint = str(told["hint"]) if told["hint"] else None
            return Ended(code, MoatError(str(told["error"]), hint=hint))
        if code == 128 + signal.SIGINT and signal.SIGINT in self._signalled:
            return Ended(code, Interrupted())
        if (unwritten := self._printer.unwritten) is not None:
            reason = unwritten.strerror
            return Ended(code or 1, MoatError(f"the run's output cannot be written: {reason}"))
        return Ended(code, None)

    def leave_terminal(self) -> None:
        """Put the terminal back as it was."""
        self._printer.put_back()
        if self._left is not None and self._terminal:
            below_all()

    def _give_up(self, kind: bytes) -> None:
        """Nobody reads what we print."""
        if self._terminal:
            self._leave("the terminal is gone", 128 + signal.SIGHUP)
        elif self._part.watches:
            self._leave("nobody reads")
        else:
            self.send(control.frame(control.CLOSED, kind))

    def _pass_input_on(self) -> bool:
        try:
            data = os.read(0, min(_CHUNK, self._window))
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if data:
            self._type(self._asked.without_answers(data))
        elif self._terminal:
            self._leave("the terminal is gone", 128 + signal.SIGHUP)
        else:
            self.send(control.frame(control.STDIN_END))
        return bool(data)

    def _type(self, data: bytes) -> None:
        """Pass on what was typed or piped in, but for the keys that leave."""
        leaves = False
        if self._keys is not None:
            data, leaves = self._keys.feed(data)
        if self._part.watches:
            leaves = leaves or any(key in data for key in _LEAVES)
        elif data:
            self._window -= len(data)
            self.send(control.frame(control.STDIN, data))
        if leaves:
            self._leave("you have left it")

    def _pass_signals_on(self) -> None:
        for number in self._signals.recv(64):
            if number == signal.SIGWINCH:
                self._tell_size()
                self._at_terminal.draw()
            elif number == signal.SIGHUP:
                self._leave("the terminal is gone", 128 + number)
            elif self._part.watches:
                self._leave("you have left it", 128 + number if number != signal.SIGINT else 0)
            else:
                self._signalled.add(number)
                if (asked := self._at_terminal.asked) is not None:
                    self._stop_asking()
                    self._answer(asked, NO)
                self.send(control.message(control.SIGNAL, number=number))

    def _tell_size(self) -> None:
        with contextlib.suppress(OSError):  # it has hung up
            size = os.get_terminal_size(0)
            if not self._part.watches:
                self._send_size(size.lines, size.columns)

    def _send_size(self, rows: int, columns: int) -> None:
        self.send(control.message(control.RESIZE, rows=rows, columns=columns))


def _detach_keys(part: Part) -> DetachKeys | None:
    if not part.terminal:
        return None
    from moat.terminal.keys import DEFAULT_KEYS, DetachKeys, parse_detach_keys

    return DetachKeys(parse_detach_keys(part.detach_keys or DEFAULT_KEYS))
