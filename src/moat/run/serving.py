"""Serving the network of a box: its proxy, what is recorded of it, and who may decide meanwhile.

All of it takes longer to load than a box to start, and what listens in the box does so already. So
it is loaded beside the box's command, and not at all for one that has ended before it was wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moat.config.paths import Home
from moat.engine.names import Names
from moat.engine.session import RunSession
from moat.ledger.trace import Trace
from moat.proxy.interface import Handed, Recorder
from moat.proxy.resolver import Resolver
from moat.proxy.server import ProxyServer
from moat.proxy.upstream import Upstreams
from moat.run.advice import Advice, Watched
from moat.run.audience import Audience
from moat.run.command_server import Join
from moat.run.commanded import commanded
from moat.run.commands import More
from moat.run.grants import OpenedGrants
from moat.run.plan import Plan
from moat.run.putting import Putter
from moat.run.record import RunDirectory
from moat.run.tls import LazyTls

if TYPE_CHECKING:
    from moat.runtimes.protocols import Box


@dataclass(frozen=True, slots=True)
class Served:
    """The network of a box, while it is served."""

    server: ProxyServer
    putter: Putter
    plan: Plan
    watched: Watched

    def advice(self, code: int) -> Advice | None:
        """What its requests met, where that is worth telling of a run that ended with this code."""
        if alarm := self.watched.alarm():
            return alarm
        if code == 0:
            return self.watched.rejection()
        # Whatever the code: 128 and more is not only who was killed by a signal, git says 128.
        return self.watched.advice(self.plan.command_line)


@contextlib.asynccontextmanager
async def served(
    directory: RunDirectory,
    plan: Plan,
    home: Home,
    box: Box,
    grants: OpenedGrants,
    audience: Audience,
    *,
    more: More,
    join: Join,
) -> AsyncIterator[Served]:
    """The network of a box, served until the end; `more` are the commands about the run itself,
    and `join` takes over connections to it. Raises MoatError."""
    async with contextlib.AsyncExitStack() as stack:
        trace = stack.enter_context(traced(directory, grants))
        tls = LazyTls(ca=home.ca, extra_roots=plan.upstream.ca_file)
        watched = Watched(trace)
        handed = handed_of(plan, grants, watched, tls)
        server = await stack.enter_async_context(proxied(box, handed))
        asker = await stack.enter_async_context(
            commanded(directory, handed, server, timeout=plan.ask_timeout, more=more, join=join)
        )
        putter = Putter(plan.run, plan.name, audience)
        putter.begin(asker)
        hosts = sorted({item.pattern.host for item in plan.injections})
        warming = asyncio.get_running_loop().run_in_executor(None, tls.warm, hosts)
        try:
            yield Served(server, putter, plan, watched)
        finally:
            await asyncio.wait({warming})


@contextlib.contextmanager
def traced(directory: RunDirectory, grants: OpenedGrants) -> Iterator[Trace]:
    """The trace of the run's requests; closing says if anything was not written."""
    trace = Trace(directory.trace)
    trace.hide(grants.secrets)
    try:
        yield trace
    finally:
        trace.close()


def handed_of(plan: Plan, grants: OpenedGrants, recorder: Recorder, tls: LazyTls) -> Handed:
    """What the proxy of a plan works with."""
    session = RunSession(
        plan.run, plan.policy, plan.injections, plan.command_line, plan.placeholders
    )
    upstreams = Upstreams(tls.upstream, connect_to=dict(plan.upstream.connect_to))
    return Handed(session, grants, recorder, tls, upstreams, plan.upstream.idle_timeout)


@contextlib.asynccontextmanager
async def proxied(box: Box, handed: Handed) -> AsyncIterator[ProxyServer]:
    """The proxy, listening inside the box; every connection is ended and recorded at the end."""
    server, names = ProxyServer(handed), Names()
    resolver = Resolver(handed, names)
    await server.listen(box.sockets.proxy)
    for listener in box.sockets.direct:
        await server.listen(listener, names)
    await resolver.serve(box.sockets.datagrams, box.sockets.streams)
    try:
        yield server
    finally:
        resolver.close()
        await server.close()
