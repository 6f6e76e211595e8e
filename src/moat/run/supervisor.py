"""The supervisor: one process a run, which owns everything of it.

It is forked off the command line, in a session of its own, and takes everything down with it
when it ends: box, proxy, staged files. Command lines are clients: the one that started the run has
a channel from the beginning, others come over the socket in the run's directory. They may all
leave, and the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from moat import log
from moat.config.paths import Home
from moat.errors import MoatError, system_error
from moat.ledger.transcript import Transcript
from moat.proxy.descriptors import raise_descriptor_limit
from moat.proxy.memory import settle_memory
from moat.run import control
from moat.run.accounting import accounted
from moat.run.audience import Seat
from moat.run.channel import Client
from moat.run.end import GRACE, End, LimitExceeded
from moat.run.grants import OpenedGrants, open_grants
from moat.run.guarding import guarded
from moat.run.late import load_late
from moat.run.plan import Plan
from moat.run.program import Program, Terminal
from moat.run.record import RunDirectory
from moat.run.steps import (
    Keeper,
    box_spec,
    boxed,
    choose_runtime,
    exported,
    recorded,
    staged,
    transcribed,
)
from moat.vault.store import Store

if TYPE_CHECKING:
    from moat.run.advice import Advice
    from moat.run.executing import Executing
    from moat.run.serving import Served
    from moat.runtimes.protocols import Box

# Seconds in which a command may end without its network having been loaded.
_MOMENT = 0.08
# Seconds after which a run is no short one.
_SETTLED = 1.0
_INTERNAL = "Moat failed where it should not have"


class Supervisor:
    """One run, from its record to its end."""

    def __init__(self, plan: Plan, home: Home, *, umask: int) -> None:
        self._plan = plan
        self._home = home
        self._umask = umask
        self._directory = RunDirectory(home.runs, plan.run)
        self._keeper: Keeper | None = None
        self._box: Box | None = None
        self._end = End(plan.run, plan.limits)
        self._served: Served | None = None  # its network, once it is
        self._program = Program(
            terminal=self._terminal if plan.terminal is not None else None,
            size=plan.terminal,
            stop=self._stop,
            said=self._said,
        )
        self._executing: Callable[[], Executing]

    async def run(self, channel: socket.socket) -> None:
        """Live through the run and tell its clients how it ended."""
        client = Client(*await asyncio.open_unix_connection(sock=channel))
        self._life = asyncio.create_task(self._live())
        first = asyncio.create_task(self._serve(client, first=True))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop, signal.SIGTERM)
        code, error = await self._outcome()
        told = error or self._advice(code)
        await self._close(code, told)
        first.cancel()

    async def _close(self, code: int, told: MoatError | Advice | None) -> None:
        """Tell everybody how it ended."""
        await self._program.audience.close(
            control.message(
                control.EXIT,
                code=code,
                run=self._plan.run,
                error=told.message if told else None,
                hint=told.hint if told else None,
            )
        )

    def _advice(self, code: int) -> Advice | None:
        """What its requests met, where that is worth telling."""
        if self._end.stopped_by is not None or self._served is None:
            return None
        return self._served.advice(code)

    async def _outcome(self) -> tuple[int, MoatError | None]:
        try:
            return await self._life, None
        except asyncio.CancelledError:
            return self._end.code or 1, self._end.error()
        except MoatError as error:
            return error.exit_code, error
        except OSError as error:
            return 1, system_error(error)
        except Exception:
            log.get(__name__).exception(_INTERNAL)
            return 1, MoatError(_INTERNAL, hint=f"its log says more: {self._directory.log}")

    async def _live(self) -> int:
        directory, plan = self._directory, self._plan
        async with contextlib.AsyncExitStack() as stack:
            # Before the record, which holds the command: a secret in it would be written down.
            grants = open_grants(Store(self._home.credentials), plan.grants)
            grants.refuse_in(plan)
            keeper = self._keeper = stack.enter_context(recorded(directory, plan))
            log.to_file(directory.log)
            keeper.set("starting")
            mounts = stack.enter_context(staged(directory, plan, self._home))
            stack.enter_context(exported(plan))
            made = stack.enter_context(guarded(plan, self._home))
            accounting = await stack.enter_async_context(accounted(directory, plan, made))
            # Before the first thread: making the listener takes a fork that enters namespaces.
            spec = box_spec(directory, plan, mounts, umask=self._umask, guards=made.guards)
            self._executing = cache(partial(self._make_executing, spec.environment, grants))
            box = await stack.enter_async_context(boxed(choose_runtime(), spec))
            transcript = stack.enter_context(transcribed(directory, plan))
            accounting.begin()
            return await self._live_in(box, transcript, grants, keeper)

    async def _live_in(
        self, box: Box, transcript: Transcript, grants: OpenedGrants, keeper: Keeper
    ) -> int:
        """Let the command go, and see it to its end; its exit code."""
        self._box = box
        box.open_gate()
        end = self._end
        watching = asyncio.create_task(end.watch(box, self._stop))
        serving = asyncio.create_task(self._serve_network(box, grants, keeper))
        program = asyncio.create_task(
            self._program.run(box, transcript, clear=self._clear, gone=self._stop_serving)
        )
        try:
            await asyncio.wait({program, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()  # it ends before the program only by an error
            code = await program
            end.exceeded = end.exceeded or box.exceeded
        finally:
            await _cancelled(watching, program)
            end.note(keeper)
            await _ended(serving)
        keeper.exit_code = keeper.exit_code or code
        if end.exceeded is not None:
            raise LimitExceeded(end.exceeded, keeper.exit_code)
        return keeper.exit_code

    async def _serve_network(self, box: Box, grants: OpenedGrants, keeper: Keeper) -> None:
        """Serve the network of the box from when it is wanted, until this is cancelled."""
        await _wanted(box)
        loop = asyncio.get_running_loop()
        serving = await loop.run_in_executor(None, import_module, "moat.run.serving")
        async with serving.served(
            self._directory,
            self._plan,
            self._home,
            box,
            grants,
            self._program.audience,
            more={"stop": self._told_to_stop, "status": self._told},
            join=self._join,
        ) as self._served:
            keeper.set("running")
            settle_memory()
            raise_descriptor_limit()
            self._program.audience.tell(control.message(control.STARTED, run=self._plan.run))
            await asyncio.sleep(_SETTLED)
            await loop.run_in_executor(None, load_late)
            await loop.create_future()

    async def _stop_serving(self) -> None:
        """Who has left the box with a descriptor of it is served no longer."""
        if self._served is not None:
            await self._served.server.close()

    async def _clear(self) -> None:
        """Wait while a question stands where output would go."""
        if self._served is not None:
            await self._served.putter.wait_clear()

    def _terminal(self, place: Mapping[str, Any]) -> Terminal:
        from moat.run.box_terminal import RunTerminal

        assert self._plan.terminal is not None
        return RunTerminal(self._plan.terminal, place, unfiltered=self._plan.unfiltered)

    # what clients say

    async def _serve(self, client: Client, *, drives: bool = True, first: bool = False) -> None:
        """Let a client take part until it leaves. The `first` sees all from the beginning."""
        seat = Seat(client, drives=drives)
        self._program.audience.join(seat)
        self._note("attached", drives=drives)
        if not first:
            self._program.audience.show_screen(seat)
        if self._served is not None:
            self._served.putter.look()
        try:
            await self._program.serve(seat)
        finally:
            self._note("detached", drives=drives)
            if self._served is not None:
                self._served.putter.left(seat)
        await client.close(GRACE)

    def _note(self, event: str, **facts: Any) -> None:
        if self._keeper is not None:
            self._keeper.events.add(event, **facts)

    def _said(self, kind: bytes, payload: bytes) -> None:
        if kind == control.ANSWER and self._served is not None:
            self._served.putter.hear(payload)

    def _join(
        self,
        command: Mapping[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Any:
        takes_part = {"attach": self._attach, "exec": self._execute}.get(str(command.get("do")))
        if takes_part is None:
            return None
        if (version := command.get("version")) != control.VERSION:
            raise MoatError(
                f"run {self._plan.run} was started by another Moat: it speaks version "
                f"{control.VERSION} of the protocol, and this one {version}",
                hint=f"attach with that one, or end it: moat stop {self._plan.run}",
            )
        return takes_part(command, Client(reader, writer))

    def _make_executing(self, environment: Mapping[str, str], grants: OpenedGrants) -> Executing:
        from moat.run.executing import Executing  # here, as few runs have any

        return Executing(self._plan.run, environment, self._directory.root, grants)

    async def _execute(self, command: Mapping[str, Any], client: Client) -> None:
        """Run a further command in the box for somebody."""
        if self._box is None or self._end.stopped_by is not None:
            raise MoatError(f"run {self._plan.run} is starting or stopping", hint="run: moat list")
        words, code = await self._executing().execute(self._box, command, client)
        self._note("executed", command=words, exit_code=code)

    async def _attach(self, command: Mapping[str, Any], client: Client) -> None:
        """Let somebody look at the run, and drive it where it has a terminal to be driven from."""
        drives = self._plan.terminal is not None and command.get("watch") is not True
        reply = {
            "run": self._plan.run,
            "version": control.VERSION,
            "terminal": self._plan.terminal is not None,
            "drives": drives,
            "size": self._program.size,
        }
        client.send_nowait(json.dumps(reply).encode() + b"\n")
        await self._serve(client, drives=drives)

    def _told(self, _: Mapping[str, Any]) -> dict[str, Any]:
        audience = self._program.audience
        return {
            "attached": audience.driver is not None,
            "watchers": audience.watchers,
            "executing": self._executing().live,
        }

    def _told_to_stop(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Asked to end; `grace` is how many seconds the command is given, 0 for none."""
        grace = command.get("grace")
        grace = float(grace) if isinstance(grace, int | float) else GRACE
        self._stop(signal.SIGTERM if grace > 0 else signal.SIGKILL, grace=grace)
        return {}

    def _stop(self, number: int, *, grace: float = GRACE) -> None:
        """Ask the run to end; asked again, or after a while, it is ended."""
        again = self._end.asked(number)
        if self._box is None or again or number == signal.SIGKILL:
            self._life.cancel()
            return
        self._note("asked to end", signal=number)
        self._box.signal(number)
        asyncio.get_running_loop().call_later(grace, self._life.cancel)


async def _wanted(box: Box) -> None:
    """Wait until somebody in the box wants its network, or for a moment."""
    sockets = box.sockets
    loop, wanted = asyncio.get_running_loop(), asyncio.Event()
    listeners = (sockets.proxy, *sockets.direct, sockets.datagrams, sockets.streams)
    for each in listeners:
        loop.add_reader(each.fileno(), wanted.set)
    try:
        async with asyncio.timeout(_MOMENT):
            await wanted.wait()
    except TimeoutError:
        pass
    finally:
        for each in listeners:
            loop.remove_reader(each.fileno())


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks whose results nobody wants any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task that has something to clear up; raises what went wrong with that."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
