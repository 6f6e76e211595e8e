"""The client puts a question at the person's terminal: only they answer, and only what they saw.

Its supervisor is this test, which says what the box has printed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.run import control
from moat.run.question import PROMPT, UNKNOWN
from run.playing import Played, Start, out, starting, wait_until

QUESTION = {
    "id": 3,
    "run": "dc1eh6tndp",
    "name": "fix-login",
    "destination": "https://api.example.com",
    "host": "api.example.com",
    "inside": False,
    "method": "GET",
    "url": "https://api.example.com/v1",
    "waiting": 1,
    "timeout": 120.0,
}
READY = PROMPT.encode()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a client; ends it with the test."""
    yield from starting()


class Person:
    """The person's side of a terminal."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        termios.tcsetwinsize(self.slave, (24, 80))
        self.modes = termios.tcgetattr(self.slave)
        self.seen = b""

    def close(self) -> None:
        """Hang up."""
        for descriptor in (self.slave, self.master):
            os.close(descriptor)

    def look(self, seconds: float = 0.05) -> bytes:
        """All that was ever on the screen."""
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 1 << 16)
        return self.seen

    def wait_for(self, text: bytes) -> None:
        """Look until a text is there; what was seen before counts no more."""
        give_up = time.monotonic() + 20
        while text not in self.look():
            assert time.monotonic() < give_up, f"{text!r} did not come: {self.seen!r}"
        self.seen = self.seen.rpartition(text)[2]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def has_modes_back(self) -> bool:
        """Whether the terminal is as it was."""
        return self.modes == termios.tcgetattr(self.slave)


@pytest.fixture
def person() -> Iterator[Person]:
    sitting = Person()
    yield sitting
    sitting.close()


def ask(played: Played, **changes: object) -> None:
    """Put the question."""
    played.say(control.message(control.QUESTION, **QUESTION | changes))


def answer(action: str, extent: str, number: int = 3) -> tuple[bytes, dict[str, object]]:
    """The frame of an answer."""
    return control.ANSWER, {"id": number, "action": action, "extent": extent}


# where the run has the terminal


@pytest.fixture
def at(start: Start, person: Person) -> Played:
    """A client whose run has the person's terminal."""
    played = start(terminal=True, stdin=person.slave, stdout=person.slave, stderr=person.slave)
    wait_until(lambda: not person.has_modes_back())
    return played


def test_a_question_is_put_and_answered(at: Played, person: Person) -> None:
    """Nothing that is typed meanwhile goes to the run; afterwards everything does again."""
    at.say(out(b"the program\r\n"))
    ask(at)
    person.wait_for(b"https://api.example.com\x1b")
    person.wait_for(READY)
    person.type(b"x\r")
    person.wait_for(UNKNOWN.encode())
    person.type(b"o\r")
    assert answer("allow", "once") == at.hear()
    person.wait_for(b"\x1b[?1049l")
    person.type(b"for the program\r")
    assert (control.STDIN, b"for the program\r") == at.hear()
    at.end()
    assert (0, None) == at.ended()
    assert person.has_modes_back()


@pytest.mark.attack
def test_who_was_typing_has_answered_nothing(at: Played, person: Person) -> None:
    """Keys that are pressed while a question comes up are neither answer nor input."""
    ask(at)
    person.wait_for(b"https://api.example.com\x1b")
    for _ in range(5):
        person.type(b"r\r")
        assert at.hears_nothing(0.2)
    person.wait_for(READY)
    assert at.hears_nothing(0.2)
    person.type(b"\r")
    assert answer("deny", "once") == at.hear()


@pytest.mark.attack
def test_what_the_terminal_says_is_no_answer(at: Played, person: Person) -> None:
    """The box has asked it something before; the reply comes while the question is there."""
    at.say(out(b"\x1b[6n"))
    ask(at)
    person.wait_for(READY)
    person.type(b"\x1b[24;80Rr")
    person.type(b"\r")
    assert at.hears_nothing(0.3)
    person.wait_for(READY)
    person.type(b"\r")
    assert answer("deny", "once") == at.hear()


def test_ctrl_c_is_a_no(at: Played, person: Person) -> None:
    """And goes to the run when it is pressed again."""
    ask(at)
    person.wait_for(READY)
    person.type(b"\x03")
    assert answer("deny", "once") == at.hear()
    person.wait_for(b"\x1b[?1049l")
    person.type(b"\x03")
    assert (control.STDIN, b"\x03") == at.hear()


def test_a_question_that_is_withdrawn_goes_away(at: Played, person: Person) -> None:
    """And what is typed goes to the run; a word about another changes nothing."""
    ask(at)
    person.wait_for(READY)
    at.say(control.message(control.WITHDRAWN, id=2))
    person.type(b"r")
    person.wait_for(READY + b"r")
    at.say(control.message(control.WITHDRAWN, id=3))
    person.wait_for(b"\x1b[?1049l")
    person.type(b"x")
    assert (control.STDIN, b"x") == at.hear()


def test_one_question_after_the_other(at: Played, person: Person) -> None:
    """The second needs to be looked at as well."""
    ask(at)
    ask_again = {"id": 4, "host": "b.example", "destination": "https://b.example"}
    person.wait_for(READY)
    person.type(b"r\rr\r")
    assert answer("allow", "run") == at.hear()
    ask(at, **ask_again)
    person.wait_for(b"https://b.example\x1b")
    assert at.hears_nothing(0.1)
    person.wait_for(READY)
    person.type(b"q\r")
    assert answer("deny", "rest", 4) == at.hear()


def test_a_program_with_a_screen_of_its_own_draws_it_again(at: Played, person: Person) -> None:
    """It is told of a window of another size, and then of the right one."""
    at.say(out(b"\x1b[?1049h\x1b[2Jeditor"))
    ask(at)
    person.wait_for(READY)
    person.type(b"n\r")
    assert (control.RESIZE, {"rows": 23, "columns": 80}) == at.hear()
    assert (control.RESIZE, {"rows": 24, "columns": 80}) == at.hear()
    assert answer("deny", "once") == at.hear()
    assert b"1049l" not in person.look()


def test_another_size_of_the_window(at: Played, person: Person) -> None:
    """The question is drawn again, and the run hears of the size."""
    ask(at)
    person.wait_for(READY)
    termios.tcsetwinsize(person.slave, (40, 100))
    at.process.send_signal(signal.SIGWINCH)
    assert (control.RESIZE, {"rows": 40, "columns": 100}) == at.hear()
    person.wait_for(READY)


@pytest.mark.parametrize("size", [(6, 80), (24, 20)])
def test_a_window_that_is_too_small_leaves_it_to_others(
    at: Played, person: Person, size: tuple[int, int]
) -> None:
    """Nobody is asked what they cannot read; keys go to the run."""
    termios.tcsetwinsize(person.slave, size)
    ask(at)
    assert answer("later", "once") == at.hear()
    person.type(b"r\r")
    assert (control.STDIN, b"r\r") == at.hear()


def test_a_run_that_ends_takes_its_question_along(at: Played, person: Person) -> None:
    """The screen and the terminal are as before."""
    ask(at)
    person.wait_for(READY)
    at.end(7)
    assert (7, None) == at.ended()
    person.wait_for(b"\x1b[?1049l")
    assert person.has_modes_back()


def test_a_terminal_that_goes_has_answered_nothing(start: Start, person: Person) -> None:
    """The question is left to others, and the client leaves."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    before = termios.tcgetattr(slave)
    played = start(terminal=True, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
    wait_until(lambda: before != termios.tcgetattr(slave))
    ask(played)
    os.close(slave)
    time.sleep(0.2)
    os.close(master)
    heard = [played.hear(), played.hear()]
    assert answer("later", "once") == heard[0]
    assert control.DETACH == heard[1][0]


def test_always_is_stored_before_it_is_said(start: Start, person: Person, tmp_path: Path) -> None:
    """For all runs, and then for this one."""
    stored = tmp_path / "stored"
    environ = {**os.environ, "STORE": str(stored), "TERM": "xterm"}
    streams = {"stdin": person.slave, "stdout": person.slave, "stderr": person.slave}
    played = start(terminal=True, env=environ, **streams)
    wait_until(lambda: not person.has_modes_back())
    ask(played)
    person.wait_for(READY)
    person.type(b"a\r")
    assert answer("allow", "always") == played.hear()
    assert "api.example.com\n" == stored.read_text()


def test_what_cannot_be_stored_is_asked_again(at: Played, person: Person) -> None:
    """With the reason, and nothing is said to the run."""
    ask(at)
    person.wait_for(READY)
    person.type(b"a\r")
    person.wait_for(b"That cannot be stored: config.yaml:1:1: is not yours")
    assert at.hears_nothing(0.1)
    person.wait_for(READY)
    person.type(b"r\r")
    assert answer("allow", "run") == at.hear()


# where the run works on pipes


def piped(
    start: Start, person: Person, session: str = "/dev/null", term: str = "xterm", **more: bool
) -> Played:
    """A client at the person's terminal whose run does not have it."""
    environ = {**os.environ, "TERM": term}
    streams = {"stdin": person.slave, "stdout": subprocess.PIPE, "stderr": person.slave}
    return start(session=session, env=environ, **streams, **more)


def test_with_pipes_it_is_put_at_the_terminal(start: Start, person: Person) -> None:
    """Its modes are as before, and what was done stays to be read."""
    played = piped(start, person)
    assert (control.STDIN_END, b"") == played.hear()
    ask(played)
    person.wait_for(READY)
    person.type(b"r\r")
    assert answer("allow", "run") == played.hear()
    person.wait_for(b"moat: api.example.com is allowed for this run")
    assert person.has_modes_back()


def test_what_is_typed_for_the_command_is_no_answer(start: Start, person: Person) -> None:
    """Where both read the same terminal, a question has it to itself."""
    played = piped(start, person, session="-")
    person.type(b"input\n")
    assert (control.STDIN, b"input\n") == played.hear()
    ask(played)
    person.wait_for(READY)
    person.type(b"o\r")
    assert answer("allow", "once") == played.hear()
    person.wait_for(b"allowed this once")
    wait_until(person.has_modes_back)
    person.type(b"more\n")
    assert (control.STDIN, b"more\n") == played.hear()


def test_ctrl_c_at_the_terminal_is_a_no_and_ends_the_run(start: Start, person: Person) -> None:
    """As it would without a question."""
    played = piped(start, person)
    assert (control.STDIN_END, b"") == played.hear()
    ask(played)
    person.wait_for(READY)
    person.type(b"\x03")
    assert answer("deny", "once") == played.hear()
    assert (control.SIGNAL, {"number": int(signal.SIGINT)}) == played.hear()
    assert person.has_modes_back()


def test_in_the_background_it_is_left_to_others(start: Start, person: Person) -> None:
    """Whoever touched the terminal would be stopped, and the run with it."""
    played = piped(start, person, session="&", reads=False)
    assert (control.STDIN_END, b"") == played.hear()
    ask(played)
    assert answer("later", "once") == played.hear()
    person.wait_for(b"the run waits to reach api.example.com; to answer: moat approve")


def test_without_a_terminal_it_is_left_to_others(start: Start) -> None:
    """Who reads along is told what to type."""
    played = start(stderr=subprocess.PIPE, start_new_session=True)
    assert (control.STDIN_END, b"") == played.hear()
    ask(played)
    assert answer("later", "once") == played.hear()
    played.end()
    assert played.process.stderr is not None
    assert b"moat: the run waits to reach api.example.com; to answer: moat approve\n" == (
        played.process.stderr.read()
    )


def test_a_plain_terminal_is_asked_in_plain_lines(start: Start, person: Person) -> None:
    """One that knows no sequences is sent none."""
    played = piped(start, person, term="dumb")
    assert (control.STDIN_END, b"") == played.hear()
    ask(played)
    wait_until(lambda: READY in person.look())
    assert b"\x1b" not in person.seen
    person.type(b"\r")
    assert answer("deny", "once") == played.hear()
