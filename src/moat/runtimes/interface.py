"""What boxes are made from, and how things stand in them, in every runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moat.core.limits import Limits

if TYPE_CHECKING:
    import socket

# Where things stand in a box, in every runtime.
WORKSPACE = "/workspace"
HOME = "/home/agent"
USER = "agent"
UID = 1000
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
JAVA_STORE = "/etc/ssl/certs/java/cacerts"
PROXY_HOST = "127.0.0.1"
PROXY_PORT = 3128
RESOLVER_PORT = 53  # at the same address
DIRECT_PORTS = (443, 80)  # at every other address: those of the web


class Mount(NamedTuple):
    """A file or directory of the host, seen in the box at `target`; read-only unless said.

    `judged` says that the source is a real path that was looked at: if by now it leads through a
    link, the box is not made.
    """

    source: Path
    target: str
    writable: bool = False
    judged: bool = False


class Guard(NamedTuple):
    """A place that the box cannot move, remove or replace, nor change unless it is `writable`.

    `path` is below `root`, a directory of the box, and goes through no link; it may be one itself.
    """

    path: str
    writable: bool = False
    root: str = WORKSPACE


class BoxSpec(NamedTuple):
    """A box to be made: what runs in it, what it sees.

    `environment` is all there is of it; `etc` holds the generated files of /etc by name;
    `terminal` is the size (rows, columns) of the terminal to run on, None for three pipes;
    `umask` is the person's, for the files that the command makes. `protected` are names of files
    of the workspace that the box sees but cannot change or replace; `guards` are more such places,
    each behind those it is below. `limits` hold for all that
    runs in it, but for `wall`, which is its supervisor's to count; `run` is the id of the run, by
    which what is left behind of it can be found.
    """

    workspace: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    etc: Path
    terminal: tuple[int, int] | None
    umask: int = 0o022
    protected: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    limits: Limits = Limits()
    run: str | None = None


class BoxSockets(NamedTuple):
    """What listens inside a box's network, and is read from outside.

    `proxy` listens at PROXY_HOST and PROXY_PORT. `direct` listen at every address there is, on the
    ports of the web: the name of such a connection is the address its client meant. `datagrams`
    (UDP) and `streams` (TCP) are the resolver's, at PROXY_HOST and RESOLVER_PORT.
    """

    proxy: socket.socket
    direct: tuple[socket.socket, ...]
    datagrams: socket.socket
    streams: socket.socket

    def close(self) -> None:
        """Listen no more."""
        for each in (self.proxy, *self.direct, self.datagrams, self.streams):
            each.close()


class Execution(NamedTuple):
    """A further command in a box. `terminal` is as in BoxSpec."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    terminal: tuple[int, int] | None
