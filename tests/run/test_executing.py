"""Further commands in a box, and whoever waits for one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from moat.run import control
from moat.run.executing import Executing


class Lasting:
    """A command that does not end; and the box it is in."""

    stderr = None

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self._input, self.stdin = os.pipe2(os.O_NONBLOCK)
        self.stdout, self._output = os.pipe2(os.O_NONBLOCK)

    async def execute(self, _: object) -> Lasting:
        return self

    async def wait(self) -> int:
        self.began.set()
        await asyncio.Event().wait()
        return 0

    def signal(self, number: int) -> None:
        """It does not listen."""

    async def destroy(self) -> None:
        for descriptor in (self._input, self.stdin, self.stdout, self._output):
            os.close(descriptor)


class Waiting:
    """A client that says nothing."""

    waiting = 0

    def __init__(self) -> None:
        self.heard = b""
        self.closed = False

    def send_nowait(self, data: bytes) -> None:
        assert not self.closed
        self.heard += data

    async def receive(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def close(self, patience: float | None = None) -> None:
        self.closed = True


class Unsecret:
    def refuse_in_words(self, words: object) -> None:
        """None is secret."""


def test_a_client_hears_of_the_end_also_when_the_supervisor_goes_first(tmp_path: Path) -> None:
    """Or it would take the supervisor for dead."""

    async def play() -> bytes:
        box: Any = Lasting()
        client: Any = Waiting()
        grants: Any = Unsecret()
        executing = Executing("dc1eh6tndp", {}, tmp_path, grants)
        task = asyncio.create_task(executing.execute(box, {"command": ["x"]}, client))
        await box.began.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert client.closed
        assert 0 == executing.live
        heard: bytes = client.heard
        return heard

    first, frames = asyncio.run(play()).split(b"\n", 1)
    assert "dc1eh6tndp" == json.loads(first)["run"]
    ((kind, payload),) = control.Deframer().feed(frames)
    assert (control.EXIT, 137) == (kind, json.loads(payload)["code"])
