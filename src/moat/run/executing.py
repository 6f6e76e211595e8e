"""Further commands in the box of a live run, each for the client that asked for it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moat import log
from moat.errors import MoatError, UsageError, system_error
from moat.ledger.transcript import Transcript
from moat.run import control
from moat.run.audience import Seat
from moat.run.channel import Client
from moat.run.grants import OpenedGrants
from moat.run.program import Program, Terminal
from moat.runtimes.interface import Execution

if TYPE_CHECKING:
    from moat.runtimes.protocols import Box

_GRACE = 5.0
# Seconds in which a client may still read how its command ended, when the supervisor ends.
_LAST_WORD = 2.0
_MOST = 32  # at a time
_LONGEST = 4096  # words of a command


class Executing:
    """Runs them; `environment` is that of the box's own command, `root` the run's directory."""

    def __init__(
        self, run: str, environment: Mapping[str, str], root: Path, grants: OpenedGrants
    ) -> None:
        self._run = run
        self._grants = grants
        self._environment = environment
        self._root = root
        self._count = 0
        self.live = 0

    async def execute(
        self, box: Box, command: Mapping[str, Any], client: Client
    ) -> tuple[Any, ...]:
        """Run a command for a client until it ends, or the client leaves; its words and its code.

        Raises MoatError as long as nothing was said to the client.
        """
        execution = self._execution(command)
        if self.live >= _MOST:
            raise MoatError(f"{_MOST} commands are being executed in this run already")
        self.live += 1
        transcript: Transcript | None = None
        try:
            # First, as it may fail: nothing was said yet.
            transcript = self._transcript(execution)
            executed = await box.execute(execution)
            try:
                client.send_nowait(
                    json.dumps({"run": self._run, "version": control.VERSION}).encode() + b"\n"
                )
                code = await self._live(executed, execution, client, transcript)
            finally:
                await executed.destroy()
        finally:
            self.live -= 1
            if transcript is not None:
                transcript.close()
        return execution.command, code

    def _transcript(self, execution: Execution) -> Transcript:
        """Where what it prints is kept. Raises MoatError."""
        self._count += 1
        root = self._root / f"exec-{self._count}"
        try:
            root.mkdir(mode=0o700)
        except OSError as error:
            raise system_error(error) from error
        return Transcript(root, terminal=execution.terminal, title=execution.command[0])

    def _execution(self, command: Mapping[str, Any]) -> Execution:
        words, terminal = command.get("command"), command.get("terminal")
        if (
            not isinstance(words, list)
            or not 0 < len(words) <= _LONGEST
            or not all(isinstance(word, str) and "\0" not in word for word in words)
        ):
            raise UsageError("there is no command to execute")
        self._grants.refuse_in_words(words)
        environment = dict(self._environment)
        if terminal is None:
            return Execution(tuple(words), environment, None)
        rows, columns = int(terminal["rows"]), int(terminal["columns"])
        environment["TERM"] = str(terminal.get("term", "xterm"))[:64]
        return Execution(tuple(words), environment, (max(1, rows), max(1, columns)))

    async def _live(
        self, executed: Any, execution: Execution, client: Client, transcript: Transcript
    ) -> int:
        ending: list[asyncio.TimerHandle] = []

        def stop(number: int) -> None:
            executed.signal(number)
            if number != signal.SIGINT:
                loop = asyncio.get_running_loop()
                ending.append(loop.call_later(_GRACE, executed.signal, signal.SIGKILL))

        program = Program(
            terminal=_terminal_of(execution) if execution.terminal else None,
            size=execution.terminal,
            stop=stop,
            said=lambda _, __: None,
        )
        seat = Seat(client, drives=True)
        program.audience.join(seat)
        serving = asyncio.create_task(program.serve(seat))

        def hang_up(_: object) -> None:
            stop(signal.SIGHUP)

        # Nobody else can take it up, so it ends with whoever wanted it.
        serving.add_done_callback(hang_up)
        began = time.monotonic()
        code, error = 1, None
        try:
            code = await program.run(executed, transcript, clear=_at_once, gone=_at_once)
        except MoatError as failure:
            error = failure
        except asyncio.CancelledError:
            # The supervisor ends, and the box is gone, before that was noticed here.
            client.send_nowait(self._exit(128 + signal.SIGKILL, None))
            await client.close(_LAST_WORD)
            raise
        finally:
            serving.remove_done_callback(hang_up)
            for handle in ending:
                handle.cancel()
        log.get(__name__).info("executed for %.1f s: code %s", time.monotonic() - began, code)
        await program.audience.close(self._exit(code, error))
        await asyncio.gather(serving, return_exceptions=True)
        return code

    def _exit(self, code: int, error: MoatError | None) -> bytes:
        return control.message(
            control.EXIT,
            code=code,
            run=self._run,
            error=error.message if error else None,
            hint=error.hint if error else None,
        )


async def _at_once() -> None:
    """There is nothing to wait for."""


def _terminal_of(execution: Execution) -> Callable[[Mapping[str, Any]], Terminal]:
    def make(place: Mapping[str, Any]) -> Terminal:
        from moat.run.box_terminal import RunTerminal

        assert execution.terminal is not None
        return RunTerminal(execution.terminal, place)

    return make
