"""The supervisor: one process a run, which owns everything of it.

It is forked off the command line, in a session of its own, and takes everything down with it
when it ends: box, proxy, staged files. The command line is a client on a socket; while a run
cannot be attached to again, one whose client is gone is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from moat import log
from moat.config.paths import Home
from moat.errors import Interrupted, MoatError, system_error
from moat.ledger.transcript import Transcript
from moat.proxy.descriptors import raise_descriptor_limit
from moat.proxy.memory import settle_memory
from moat.proxy.server import ProxyServer
from moat.run import control
from moat.run.advice import Advice, Watched
from moat.run.channel import Client
from moat.run.commanded import commanded
from moat.run.grants import open_grants
from moat.run.plan import Plan
from moat.run.putting import Putter
from moat.run.record import RunDirectory
from moat.run.steps import (
    box_spec,
    boxed,
    choose_runtime,
    exported,
    handed_of,
    proxied,
    recorded,
    staged,
    traced,
    transcribed,
)
from moat.run.tls import LazyTls
from moat.runtimes.descriptors import read_some, write_all
from moat.runtimes.interface import Box
from moat.vault.store import Store

# From a signal that asks to end, to the one that does not.
_GRACE = 5.0
# How long an output may bring nothing, once all that could write to it has ended.
_DRAIN_SECONDS = 1.0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_INTERNAL = "Moat failed where it should not have"


def supervise(
    plan: Plan, home: Home, channel: socket.socket, *, unblock: Iterable[signal.Signals]
) -> NoReturn:
    """Be the supervisor of a run, in the child of a fork, until it has ended.

    The signals of `unblock` were blocked before the fork; what came since was for the client.
    """
    try:
        umask = os.umask(0o077)
        _leave_the_command_line(channel)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblock)
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Supervisor(plan, home, umask=umask).run(channel))
    finally:
        _end_what_is_left()
        os._exit(0)


def _leave_the_command_line(channel: socket.socket) -> None:
    """Own session, no terminal, no descriptor but the channel, no core dumps."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    # What is open stands here; a limit on their number says nothing of those opened before it.
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # numbers, not paths
        if descriptor > 2 and descriptor != channel.fileno():
            with contextlib.suppress(OSError):
                os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_what_is_left() -> None:
    """End what was left to us: killed while it makes a box, bubblewrap leaves its first process.

    That one does not run anything yet: it waits for bubblewrap, and would for ever.
    """
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                os.kill(int(child), signal.SIGKILL)


class Supervisor:
    """One run, from its record to its end."""

    def __init__(self, plan: Plan, home: Home, *, umask: int) -> None:
        self._plan = plan
        self._home = home
        self._umask = umask
        self._directory = RunDirectory(home.runs, plan.run)
        self._box: Box | None = None
        self._stopped_by: int | None = None  # the signal that asked the run to end
        self._stdin: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._passing: dict[bytes, asyncio.Task[None]] = {}  # outputs, by the kind of their frames
        self._passed = 0  # bytes of output
        self._sending: set[bytes] = set()  # outputs whose reader is slow just now
        self._unread: set[bytes] = set()  # those that nobody reads any more
        self._watched: Watched | None = None
        self._putter: Putter | None = None  # of questions, while there may be some
        self._client: Client

    async def run(self, channel: socket.socket) -> None:
        """Live through the run and tell the client how it ended."""
        self._client = Client(*await asyncio.open_unix_connection(sock=channel))
        self._life = asyncio.create_task(self._live())
        listening = asyncio.create_task(self._listen())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, signal.SIGTERM)
        code, error = await self._outcome()
        told = error or self._advice(code)
        listening.cancel()
        await self._client.send(
            control.message(
                control.EXIT,
                code=code,
                run=self._plan.run,
                error=told.message if told else None,
                hint=told.hint if told else None,
            )
        )
        await self._client.close()

    def _advice(self, code: int) -> Advice | None:
        """What its requests met, where that is worth telling."""
        if self._stopped_by is not None or self._watched is None:
            return None
        if alarm := self._watched.alarm():
            return alarm
        if code == 0:
            return self._watched.rejection()
        # Whatever the code: 128 and more is not only who was killed by a signal, git says 128.
        return self._watched.advice(self._plan.command_line)

    async def _outcome(self) -> tuple[int, MoatError | None]:
        try:
            return await self._life, None
        except asyncio.CancelledError:
            return self._stopped_code() or 1, Interrupted()
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
            keeper = stack.enter_context(recorded(directory, plan))
            log.to_file(directory.log)
            keeper.set("starting")
            mounts = stack.enter_context(staged(directory, plan, self._home))
            stack.enter_context(exported(plan))
            # Before the first thread: making the listener takes a fork that enters namespaces.
            spec = box_spec(directory, plan, mounts, umask=self._umask)
            box = await stack.enter_async_context(boxed(choose_runtime(), spec))
            trace = stack.enter_context(traced(directory, grants))
            transcript = stack.enter_context(transcribed(directory))
            tls = LazyTls(ca=self._home.ca, extra_roots=plan.upstream.ca_file)
            self._watched = Watched(trace)
            handed = handed_of(plan, grants, self._watched, tls)
            server = await stack.enter_async_context(proxied(box, handed))
            asker = await stack.enter_async_context(
                commanded(directory, handed, server, timeout=plan.ask_timeout)
            )
            self._putter = Putter(plan.run, plan.name, asker, self._client.send_nowait)
            self._box = box
            keeper.set("running")
            settle_memory()
            raise_descriptor_limit()
            box.open_gate()
            warming = self._warm(tls)
            try:
                code = await self._until_end(box, transcript, server)
            finally:
                await warming
                keeper.exit_code = self._stopped_code()
                with contextlib.suppress(OSError):  # the end is written down in any case
                    keeper.set("stopping")
            keeper.exit_code = keeper.exit_code or code
            return keeper.exit_code

    def _stopped_code(self) -> int | None:
        return None if self._stopped_by is None else 128 + self._stopped_by

    def _warm(self, tls: LazyTls) -> asyncio.Future[None]:
        hosts = sorted({item.pattern.host for item in self._plan.injections})
        return asyncio.get_running_loop().run_in_executor(None, tls.warm, hosts)

    # what goes through

    async def _until_end(self, box: Box, transcript: Transcript, server: ProxyServer) -> int:
        outputs = [(box.stdout, control.STDOUT)]
        if box.stderr is not None:
            outputs.append((box.stderr, control.STDERR))
        feeding = asyncio.create_task(self._feed(box))
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for descriptor, kind in outputs:
                    self._passing[kind] = group.create_task(
                        self._pass_on(descriptor, kind, transcript)
                    )
                code = await box.wait()
                # Who has left the box with a descriptor of it is served no longer.
                await server.close()
                await self._drain()
        except* MoatError as errors:
            failure = errors.exceptions[0]  # raised from here, some Pythons would wrap it again
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        if failure is not None:
            raise failure
        return code

    async def _drain(self) -> None:
        """Wait for what the box printed last.

        All that was in it is gone: an output that brings nothing and does not end is held open by
        somebody it was handed to, in another run or of another user.
        """
        while rest := [task for task in self._passing.values() if not task.done()]:
            before = self._passed
            await asyncio.wait(rest, timeout=_DRAIN_SECONDS)
            if self._passed == before and not self._sending:
                for task in rest:
                    task.cancel()
                return

    async def _pass_on(self, descriptor: int, kind: bytes, transcript: Transcript) -> None:
        try:
            while data := await read_some(descriptor):
                self._passed += len(data)
                transcript.write(data)
                self._sending.add(kind)
                if self._putter is not None:
                    await self._putter.wait_clear()
                await self._client.send(control.frame(kind, data))
                self._sending.discard(kind)
        finally:
            if kind in self._unread:
                # The box's end of the pipe breaks: the command learns of it as in any pipe.
                nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                os.dup2(nothing, descriptor, inheritable=False)
                os.close(nothing)

    async def _feed(self, box: Box) -> None:
        while (data := await self._stdin.get()) is not None:
            try:
                await write_all(box.stdin, data)
            except BrokenPipeError:
                continue  # the command has closed its input; the client may go on sending
            finally:
                await self._client.send(control.message(control.STDIN_TAKEN, bytes=len(data)))
        box.close_stdin()

    # what the client says

    async def _listen(self) -> None:
        deframer = control.Deframer()
        try:
            while data := await self._client.receive():
                for kind, payload in deframer.feed(data):
                    self._hear(kind, payload)
        except (control.ProtocolError, ValueError, KeyError, TypeError):
            log.get(__name__).exception("the client cannot be understood")
        self._stop(signal.SIGHUP)

    def _hear(self, kind: bytes, payload: bytes) -> None:
        if kind == control.STDIN:
            self._stdin.put_nowait(payload)
        elif kind == control.STDIN_END:
            self._stdin.put_nowait(None)
        elif kind == control.RESIZE and self._box is not None:
            size = json.loads(payload)
            self._box.resize(int(size["rows"]), int(size["columns"]))
        elif kind == control.SIGNAL:
            self._stop(int(json.loads(payload)["number"]))
        elif kind == control.ANSWER and self._putter is not None:
            self._putter.hear(payload)
        elif kind == control.CLOSED and payload in self._passing:
            self._unread.add(payload)
            self._passing[payload].cancel()

    def _stop(self, number: int) -> None:
        """Ask the run to end; asked again, or after a while, it is ended."""
        again = self._stopped_by is not None
        self._stopped_by = self._stopped_by or number
        if self._box is None or again:
            self._life.cancel()
            return
        self._box.signal(number)
        asyncio.get_running_loop().call_later(_GRACE, self._life.cancel)
