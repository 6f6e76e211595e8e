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
from moat.run.command_server import CommandServer
from moat.run.commands import Commands
from moat.run.decisions import Decisions
from moat.run.record import RunDirectory


@contextlib.asynccontextmanager
async def commanded(
    directory: RunDirectory,
    handed: Handed,
    server: ProxyServer,
    *,
    timeout: float = ASK_TIMEOUT,  # noqa: ASYNC109  # of each question, not of this
) -> AsyncIterator[Asker]:
    """The asker of a proxy that listens, and commands for it taken until the end."""

    decisions = Decisions(directory.decisions)
    asker = Asker(handed, decisions, timeout=timeout, enforce=server.session_changed)
    handed.asker = asker
    commands = CommandServer(directory.root, Commands(handed.session.run, asker).obey)
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
