"""A program, and those who look at it: what is typed goes in, what it prints goes out."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from moat.errors import RecordError
from moat.run import control
from moat.run.audience import Seat
from moat.run.program import Program
from run.test_audience import Person


class Process:
    """A program of this machine, as a box has one."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self.stdin, self.stdout, self.stderr = (os.dup(s.fileno()) for s in streams if s)
        for stream in streams:
            assert stream is not None
            stream.close()
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        self.sizes: list[tuple[int, int]] = []

    async def wait(self) -> int:
        return await asyncio.to_thread(self._process.wait)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    def close_stdin(self) -> None:
        os.close(self.stdin)
        self.stdin = -1

    def close(self) -> None:
        for descriptor in (self.stdin, self.stdout, self.stderr):
            if descriptor >= 0:
                os.close(descriptor)


class Kept:
    def __init__(self, *, full: bool = False) -> None:
        self.written = b""
        self._full = full

    def write(self, data: bytes) -> None:
        if self._full:
            raise RecordError("the disk is full")
        self.written += data

    def resize(self, rows: int, columns: int) -> None:
        raise RecordError("the disk is full")


class Heard:
    def __init__(self, shown: bytes) -> None:
        self.shown, self.answer = shown.replace(b"?", b""), b"!" * shown.count(b"?")


class FakeTerminal:
    def feed(self, data: bytes) -> Heard:
        return Heard(data)

    def resize(self, rows: int, columns: int) -> None: ...

    def restore(self) -> bytes:
        return b""

    def learn(self, place: Mapping[str, Any]) -> None: ...


class Typist(Person):
    """A client that says things, and stays."""

    def __init__(self, *frames: bytes) -> None:
        super().__init__()
        self._frames = [*frames]

    async def receive(self) -> bytes:
        if not self._frames:
            await asyncio.get_running_loop().create_future()
        return self._frames.pop(0)


async def at_once() -> None: ...


def play(
    script: str,
    *frames: bytes,
    terminal: bool = False,
    drives: bool = True,
    kept: Kept | None = None,
    check: Callable[[Process, list[int]], Awaitable[None]] | None = None,
) -> tuple[int, Typist, Kept]:
    """Run it with one client that says this; its code, the client, and what was kept."""

    async def body() -> tuple[int, Typist, Kept]:
        stopped: list[int] = []
        program = Program(
            terminal=(lambda _: FakeTerminal()) if terminal else None,
            size=(24, 80) if terminal else None,
            stop=stopped.append,
            said=lambda _, __: None,
        )
        keeps, client = kept or Kept(), Typist(*frames)
        program.audience.join(seat := Seat(client, drives=drives))
        serving = asyncio.create_task(program.serve(seat))
        process = Process(script)
        try:
            code = await asyncio.wait_for(
                program.run(process, keeps, clear=at_once, gone=at_once), 20
            )
            if check is not None:
                await check(process, stopped)
        finally:
            serving.cancel()
            process.signal(9)
            await process.wait()
            process.close()
        return code, client, keeps

    return asyncio.run(body())


def test_it_reads_and_prints() -> None:
    """To the end of its input; all that it prints is kept and shown, and its code told."""
    code, client, kept = play(
        "cat; echo err >&2; exit 3",
        control.frame(control.STDIN, b"typed"),
        control.frame(control.STDIN_END),
    )
    assert 3 == code
    frames = client.frames()
    assert (control.STDIN_TAKEN, {"bytes": 5}) in frames
    assert (control.STDOUT, b"typed") in frames
    assert (control.STDERR, b"err\n") in frames
    assert {b"typederr\n", b"err\ntyped"} >= {kept.written}


def test_who_watches_has_no_say() -> None:
    """Nothing of what it says reaches the program, or ends it."""

    async def check(process: Process, stopped: list[int]) -> None:
        assert ([], []) == (process.sizes, stopped)

    said = (
        control.frame(control.STDIN, b"typed\n"),
        control.message(control.SIGNAL, number=15),
        control.message(control.RESIZE, rows=9, columns=9),
        control.frame(control.CLOSED, control.STDOUT),
    )
    code, client, _ = play(
        "sleep 0.3; read -t 0 x; echo out", *said, drives=False, terminal=True, check=check
    )
    assert 0 == code
    assert (control.STDOUT, b"out\n") in client.frames()


def test_a_terminal_has_no_end_of_input() -> None:
    """Who says there is one, as a client in the background does, takes it from nobody else."""
    code, _, kept = play(
        "read -r line; echo got $line",
        control.frame(control.STDIN_END),
        control.frame(control.STDIN, b"typed\n"),
        terminal=True,
    )
    assert (0, b"got typed\n") == (code, kept.written)


def test_a_question_to_the_terminal_is_answered_to_the_program() -> None:
    """And not shown to anybody."""
    code, client, kept = play("printf 'a?b'; head -c 1", terminal=True)
    assert (0, b"a?b!") == (code, kept.written)
    shown = b"".join(data for kind, data in client.frames() if kind == control.STDOUT)
    assert b"ab!" == shown


def test_output_that_cannot_be_kept_is_an_error() -> None:
    """At once, and not when the program has ended."""
    with pytest.raises(RecordError):
        play("echo x; sleep 60", kept=Kept(full=True))


def test_a_size_is_passed_on_though_it_cannot_be_kept() -> None:
    """What is no size is not; the client that says it stays."""

    async def check(process: Process, _: list[int]) -> None:
        assert [(30, 90)] == process.sizes

    code, _, _ = play(
        "sleep 0.3",
        json_frame(rows=30, columns=90),
        json_frame(rows=0, columns=90),
        json_frame(rows=30, columns=1_000_000),
        terminal=True,
        check=check,
    )
    assert 0 == code


def json_frame(**members: int) -> bytes:
    return control.frame(control.RESIZE, json.dumps(members).encode())
