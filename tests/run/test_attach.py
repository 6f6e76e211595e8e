"""The command line's side of a run, played against a supervisor that is this test."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.run import control
from run.playing import Start, out, starting, wait_until


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a client; ends it with the test."""
    yield from starting()


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
    assert (1, "the run's supervisor died, and the run with it") == (code, error[1])


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


def test_a_screen_that_is_drawn_anew_begins_without_the_run(
    start: Start, terminal: tuple[int, int]
) -> None:
    """Or what it puts aside would be put aside once more each time somebody fell behind."""
    master, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=slave)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    played.say(out(b"\x1b[>1u"))
    assert b"\x1b[>1u" == os.read(master, 100)
    for _ in range(3):
        played.say(control.message(control.SKIPPED, bytes=7), out(b"\x1b[>1uhere"))
        shown = b""
        while not shown.endswith(b"here"):
            shown += os.read(master, 1000)
        assert shown.index(b"\x1b[<1u") < shown.index(b"\x1b[>1u")
        assert shown.endswith(b"\x1b[>1uhere")


def test_a_new_size_is_passed_on(start: Start, terminal: tuple[int, int]) -> None:
    """Rows and columns, when the window says that it has changed."""
    _, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=slave)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    termios.tcsetwinsize(slave, (33, 101))
    played.process.send_signal(signal.SIGWINCH)
    assert (control.RESIZE, {"rows": 33, "columns": 101}) == played.hear()


def test_a_terminal_that_goes_lets_the_run_go_on(start: Start, terminal: tuple[int, int]) -> None:
    """When the window is closed the client leaves, and there is no traceback."""
    master, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    os.close(master)
    assert (control.DETACH, b"") == played.hear()
    assert played.process.stderr is not None
    assert b"" == played.process.stderr.read()
    assert (129, None) == played.ended()


def test_who_is_hung_up_on_leaves(start: Start) -> None:
    """SIGHUP ends the client and not the run."""
    played = start()
    assert (control.STDIN_END, b"") == played.hear()
    played.process.send_signal(signal.SIGHUP)
    assert (control.DETACH, b"") == played.hear()
    assert (129, None) == played.ended()


def test_the_detach_key_leaves(start: Start, terminal: tuple[int, int]) -> None:
    """What was typed before it goes on, it and what follows does not."""
    master, slave = terminal
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=slave)
    wait_until(lambda: termios.tcgetattr(slave) != before)
    os.write(master, b"ab\x1fdc")
    assert (control.STDIN, b"ab") == played.hear()
    assert (control.DETACH, b"") == played.hear()
    assert (0, None) == played.ended()
    assert before == termios.tcgetattr(slave)
