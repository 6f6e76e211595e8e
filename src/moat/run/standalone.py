"""A proxy without a box: it serves processes that Moat did not start, until it is stopped.

It is a run in all else: the same policy, credentials, trace and commands. What listens on the host
can be reached by other accounts, so it demands a token where it was not told to do without.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moat import log
from moat.config.paths import Home
from moat.core.secret import Secret
from moat.errors import GrantError, Interrupted
from moat.pki.bundle import ensure_ca_pem
from moat.pki.java import java_trust_store
from moat.proxy.descriptors import raise_descriptor_limit
from moat.proxy.interface import Handed
from moat.proxy.memory import settle_memory
from moat.proxy.server import ProxyServer
from moat.run.advice import Advice, Watched
from moat.run.asking import Asker
from moat.run.commanded import commanded
from moat.run.deciding import Question
from moat.run.grants import OpenedGrants, open_grants
from moat.run.listening import Place, open_listener
from moat.run.plan import Plan
from moat.run.record import RunDirectory
from moat.run.serving import handed_of, traced
from moat.run.steps import recorded
from moat.run.tls import LazyTls
from moat.vault.store import Store


@dataclass(frozen=True, slots=True)
class Serving:
    """What a client of the proxy needs to know; the files hold the CA's certificate and nothing
    else, and are there as long as the proxy is."""

    host: str
    port: int
    bundle: Path
    java_store: Path


def serve_alone(
    plan: Plan,
    home: Home,
    place: Place,
    token: Secret | None,
    *,
    ready: Callable[[Serving], None],
    asked: Callable[[Question], None],
) -> Advice | None:
    """Serve until SIGINT, SIGTERM or SIGHUP; what its requests met that is worth telling.

    `ready` is called once it serves, `asked` for each question that policy leaves to the person.
    Raises MoatError.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_serve(plan, home, place, token, ready, asked))
        except asyncio.CancelledError:
            raise Interrupted() from None


async def _serve(
    plan: Plan,
    home: Home,
    place: Place,
    token: Secret | None,
    ready: Callable[[Serving], None],
    asked: Callable[[Question], None],
) -> Advice | None:
    stopped = _stop_on_signals()
    directory = RunDirectory(home.runs, plan.run)
    async with contextlib.AsyncExitStack() as stack:
        # Before anybody can connect, and before the record, which holds the command.
        grants = _open(plan, home, token)
        listener = stack.enter_context(open_listener(place))
        keeper = stack.enter_context(recorded(directory, plan, kind="proxy"))
        log.to_file(directory.log)
        keeper.set("starting")
        bundle, java_store = stack.enter_context(certificates(directory, home.ca))
        trace = stack.enter_context(traced(directory, grants))
        if token is not None:
            trace.hide((token,))
        tls = LazyTls(ca=home.ca, extra_roots=plan.upstream.ca_file)
        watched = Watched(trace)
        handed = handed_of(plan, grants, watched, tls)
        handed.token = token
        await _warm(plan, tls)
        server = await stack.enter_async_context(_listening(handed, listener))
        asker = await stack.enter_async_context(
            commanded(
                directory,
                handed,
                server,
                timeout=plan.ask_timeout,
                more={"stop": _ends(stopped), "status": lambda _: {}},
            )
        )
        _tell_questions(asker, asked)
        keeper.set("running")
        settle_memory()
        raise_descriptor_limit()
        ready(Serving(place.near, listener.getsockname()[1], bundle, java_store))
        await stopped.wait()
        keeper.exit_code = 0
        keeper.set("stopping")
    return watched.alarm() or watched.advice(plan.command_line)


def _ends(stopped: asyncio.Event) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def end(_: Mapping[str, Any]) -> dict[str, Any]:
        stopped.set()
        return {}

    return end


def _stop_on_signals() -> asyncio.Event:
    """Set once somebody asks for the end; asked again, it comes at once."""
    stopped = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if stopped.is_set() and task is not None:
            task.cancel()
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What was ignored from the start stays so: by `nohup`, or by a shell for what it has put
        # into the background, where a Ctrl-C is meant for others.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop)
    return stopped


def _open(plan: Plan, home: Home, token: Secret | None) -> OpenedGrants:
    grants = open_grants(Store(home.credentials), plan.grants)
    grants.refuse_in(plan)
    if token is not None and token in grants.secrets:
        raise GrantError(
            "the token is the secret of a grant, which is printed nowhere",
            hint="leave --token-file out: Moat makes a token of its own",
        )
    return grants


@contextlib.contextmanager
def certificates(directory: RunDirectory, ca: Path) -> Iterator[tuple[Path, Path]]:
    """The CA's certificate in files for others to be told of, in PEM and as Java has it; gone at
    the end. The CA's key is not in them."""
    pem = ensure_ca_pem(ca)
    bundle, java_store = directory.stage / "ca.pem", directory.stage / "cacerts"
    try:
        directory.stage.mkdir(mode=0o700)
        for file, content in ((bundle, pem), (java_store, java_trust_store(pem))):
            file.write_bytes(content)
            file.chmod(0o644)
        yield bundle, java_store
    finally:
        shutil.rmtree(directory.stage, ignore_errors=True)


async def _warm(plan: Plan, tls: LazyTls) -> None:
    hosts = sorted({item.pattern.host for item in plan.injections})
    await asyncio.get_running_loop().run_in_executor(None, tls.warm, hosts)


@contextlib.asynccontextmanager
async def _listening(handed: Handed, listener: socket.socket) -> AsyncIterator[ProxyServer]:
    """The proxy; every connection is ended and recorded at the end."""
    server = ProxyServer(handed)
    await server.listen(listener)
    try:
        yield server
    finally:
        await server.close()


def _tell_questions(asker: Asker, asked: Callable[[Question], None]) -> None:
    """Tell of each question once, when it comes up."""
    newest = 0

    def changed() -> None:
        nonlocal newest
        for question in asker.questions():
            if question.id > newest:
                newest = question.id
                asked(question)

    asker.watch(changed)
