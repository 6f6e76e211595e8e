"""The step that lets a live proxy be told things: its asker, and the socket that takes commands.

It needs a directory and a proxy, and no box.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from moat import log
from moat.proxy.interface import Handed
from moat.proxy.server import ProxyServer
from moat.run.asking import ASK_TIMEOUT, Asker
from moat.run.command_server import CommandServer, Join
from moat.run.commands import Commands, More
from moat.run.decisions import Decisions
from moat.run.record import RunDirectory


@contextlib.asynccontextmanager
async def commanded(
    directory: RunDirectory,
    handed: Handed,
    server: ProxyServer,
    *,
    timeout: float = ASK_TIMEOUT,  # noqa: ASYNC109  # of each question, not of this
    more: More,
    join: Join | None = None,
) -> AsyncIterator[Asker]:
    """The asker of a proxy that listens, and commands for it taken until the end.

    `more` are those about the run itself; `join` takes over connections.
    """

    decisions = Decisions(directory.decisions)
    asker = Asker(handed, decisions, timeout=timeout, enforce=server.session_changed)
    handed.asker = asker
    obey = Commands(handed.session.run, asker, more).obey
    commands = CommandServer(directory.root, obey, join=join)
    try:
        await commands.listen()
    except OSError:  # a file system without sockets; who asks is told that nobody listens
        log.get(__name__).exception("this run can be told nothing")
        yield asker
        return
    try:
        yield asker
    finally:
        await commands.close()
