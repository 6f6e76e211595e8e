"""The command line's side of a run, played against a supervisor that is this test."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moat.run import control

ATTACHING = Path(__file__).with_name("attaching.py")


@dataclass
class Played:
    """The supervisor's end of a channel, and the process at the other."""

    channel: socket.socket
    process: subprocess.Popen[bytes]
    result: int
    deframer: control.Deframer = field(default_factory=control.Deframer)
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)

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
            self.heard += self.deframer.feed(data)
        kind, payload = self.heard.pop(0)
        return kind, json.loads(payload) if kind in (control.SIGNAL, control.RESIZE) else payload

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


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a client; ends it with the test."""
    started: list[Played] = []

    def begin(*, terminal: bool = False, reads: bool = True, **streams: Any) -> Played:
        ours, theirs = socket.socketpair()
        result, writes = os.pipe()
        given = [theirs.fileno(), writes, int(terminal), int(reads)]
        command = [sys.executable, str(ATTACHING), *map(str, given)]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | streams
        process = subprocess.Popen(command, pass_fds=[theirs.fileno(), writes], **streams)
        theirs.close()
        os.close(writes)
        started.append(Played(ours, process, result))
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
    return control.frame(control.STDOUT, data)


# what goes in


def test_input_is_passed_on_to_its_end(start: Start) -> None:
    """What is piped in reaches the run whole, then its end."""
    played = start(stdin=subprocess.PIPE)
    assert played.process.stdin is not None
    played.process.stdin.write(b"some input")
    played.process.stdin.flush()
    assert (control.STDIN, b"some input") == played.hear()
    played.process.stdin.close()
    assert (control.STDIN_END, b"") == played.hear()
    played.end(0)
    assert (0, None) == played.ended()


def test_input_that_is_not_the_runs_is_left_alone(start: Start) -> None:
    """Without it the run sees its end at once, and nothing is taken from whoever has it."""
    reads, writes = os.pipe()
    os.write(writes, b"for somebody else")
    played = start(reads=False, stdin=reads)
    assert (control.STDIN_END, b"") == played.hear()
    played.end()
    assert (0, None) == played.ended()
    assert b"for somebody else" == os.read(reads, 100)
    os.close(reads)
    os.close(writes)


def test_no_more_is_sent_than_is_taken(start: Start) -> None:
    """Input stops at the window and goes on when some was taken, so a signal never waits."""
    size = control.STDIN_WINDOW + 100_000
    with Path("/dev/zero").open("rb") as endless:
        played = start(stdin=endless)
        received = 0
        while received < control.STDIN_WINDOW:
            kind, payload = played.hear()
            assert control.STDIN == kind
            received += len(payload)
        assert control.STDIN_WINDOW == received
        assert played.hears_nothing()
        played.process.send_signal(signal.SIGINT)
        assert (control.SIGNAL, {"number": 2}) == played.hear()
        played.say(control.message(control.STDIN_TAKEN, bytes=100_000))
        while received < size:
            received += len(played.hear()[1])
        assert size == received
        assert played.hears_nothing()
        played.end(130)
        assert (130, ["Interrupted", "interrupted"]) == played.ended()


# what comes out


def test_output_comes_where_it_belongs(start: Start) -> None:
    """What was printed to stdout is on stdout, errors on stderr, byte for byte."""
    played = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    large = os.urandom(300_000)
    frames = b"".join((out(b"one\x00"), control.frame(control.STDERR, b"two"), out(large)))
    played.say(frames[:7])
    time.sleep(0.1)
    played.say(frames[7:], control.frame(b"?", b"a kind of tomorrow"))
    played.end(3)
    said, complained = played.process.communicate(timeout=20)
    assert (b"one\x00" + large, b"two") == (said, complained)
    assert (3, None) == played.ended()


@pytest.mark.parametrize(("kind", "name"), [(control.STDOUT, "stdout"), (control.STDERR, "stderr")])
def test_a_reader_that_goes_is_told_to_the_run(start: Start, kind: bytes, name: str) -> None:
    """Which output is closed is said once; the other still comes, and the run's code stands."""
    other = {control.STDOUT: control.STDERR, control.STDERR: control.STDOUT}[kind]
    played = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (control.STDIN_END, b"") == played.hear()
    getattr(played.process, name).close()
    played.say(control.frame(kind, b"x"), control.frame(kind, b"y"), control.frame(other, b"z"))
    assert (control.CLOSED, kind) == played.hear()
    assert played.hears_nothing()
    played.end(141)
    stream = played.process.stderr if name == "stdout" else played.process.stdout
    assert stream is not None
    assert b"z" == stream.read()
    assert (141, None) == played.ended()


def test_output_that_cannot_be_written_is_an_error(start: Start) -> None:
    """A full disk is told, and no success is reported over it."""
    with Path("/dev/full").open("wb") as full:
        played = start(stdout=full)
        assert (control.STDIN_END, b"") == played.hear()
        played.say(out(b"x"))
        assert (control.CLOSED, control.STDOUT) == played.hear()
        played.end(0)
        message = "the run's output cannot be written: No space left on device"
        assert (1, ["MoatError", message]) == played.ended()


def test_a_slow_reader_gets_everything(start: Start) -> None:
    """However long a reader takes, nothing is dropped while nobody has asked for the end."""
    played = start(stdout=subprocess.PIPE)
    played.say(out(bytes(500_000)))
    played.end(0)
    time.sleep(1.5)
    assert played.process.stdout is not None
    assert 500_000 == len(played.process.stdout.read())
    assert (0, None) == played.ended()


def test_a_reader_that_does_not_read_cannot_stop_a_signal(start: Start) -> None:
    """With the pipe full a Ctrl-C is passed on, and after a second the rest is let go."""
    played = start(stdout=subprocess.PIPE)
    assert (control.STDIN_END, b"") == played.hear()
    played.say(out(bytes(500_000)))
    assert played.hears_nothing()
    played.process.send_signal(signal.SIGINT)
    assert (control.SIGNAL, {"number": 2}) == played.hear()
    assert (control.CLOSED, control.STDOUT) == played.hear()
    played.end(130)
    assert (130, ["Interrupted", "interrupted"]) == played.ended()


# signals and ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(start: Start, number: signal.Signals) -> None:
    """Every one of them, each time; the client itself waits for the run to end."""
    played = start()
    assert (control.STDIN_END, b"") == played.hear()
    for _ in range(2):
        played.process.send_signal(number)
        assert (control.SIGNAL, {"number": int(number)}) == played.hear()
    played.end(128 + number)
    error = ["Interrupted", "interrupted"] if number == signal.SIGINT else None
    assert (128 + number, error) == played.ended()


@pytest.mark.parametrize("code", [0, 1, 130, 143, 255])
def test_the_code_is_the_runs(start: Start, code: int) -> None:
    """A command may end with any code, 130 among them, without anybody having interrupted it."""
    played = start()
    played.end(code)
    assert (code, None) == played.ended()


def test_an_error_is_brought_home(start: Start) -> None:
    """What the supervisor says went wrong is what the person reads."""
    played = start()
    played.end(1, "it went wrong")
    assert (1, ["MoatError", "it went wrong"]) == played.ended()


@pytest.mark.parametrize("last", [b"", b"x\x00\x00", b"x\xff\xff\xff\xff"])
def test_a_supervisor_that_dies_is_told(start: Start, last: bytes) -> None:
    """An end without a word, in the middle of one, or with nonsense, is a failure."""
    played = start()
    assert (control.STDIN_END, b"") == played.hear()
    if last:
        played.say(last)
    played.channel.shutdown(socket.SHUT_RDWR)
    code, error = played.ended()
    assert error is not None
    assert (1, "the run's supervisor died") == (code, error[1])


# at a terminal


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the person's side, and the side of programs."""
    master, slave = os.openpty()
    yield master, slave
    for descriptor in (master, slave):
        try:
            os.close(descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise


def test_every_key_reaches_the_run(start: Start, terminal: tuple[int, int]) -> None:
    """Ctrl-C and Ctrl-D are keys like any other, and the terminal is as before at the end."""
    master, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=slave)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    os.write(master, b"a\x03\x04\r")
    typed = b""
    while len(typed) < 4:
        typed += played.hear()[1]
    assert b"a\x03\x04\r" == typed
    played.say(out(b"\x1b[1mhello\n"))
    assert b"\x1b[1mhello\n" == os.read(master, 100)
    played.end(130)
    assert (130, None) == played.ended()
    assert before == termios.tcgetattr(slave)


def test_a_new_size_is_passed_on(start: Start, terminal: tuple[int, int]) -> None:
    """Rows and columns, when the window says that it has changed."""
    _, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=slave)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    termios.tcsetwinsize(slave, (33, 101))
    played.process.send_signal(signal.SIGWINCH)
    assert (control.RESIZE, {"rows": 33, "columns": 101}) == played.hear()


def test_a_terminal_that_goes_ends_the_run(start: Start, terminal: tuple[int, int]) -> None:
    """When the window is closed the run is told to hang up, and there is no traceback."""
    master, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    os.close(master)
    heard = {played.hear()[0]}
    played.say(out(b"x"))
    heard.add(played.hear()[0])
    assert {control.STDIN_END, control.SIGNAL} == heard
    played.end(129)
    assert played.process.stderr is not None
    assert b"" == played.process.stderr.read()
    assert (129, None) == played.ended()


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        select.select((), (), (), 0.01)
