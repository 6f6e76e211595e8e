"""What a runtime is: it makes boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from moat.core.limits import Exceeded, Limits

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


class Process(Protocol):
    """A program in a box.

    `stdin`, `stdout` and `stderr` are descriptors of this process; on a terminal they are one and
    the same, and `stderr` is None.
    """

    stdin: int
    stdout: int
    stderr: int | None

    async def wait(self) -> int:
        """Wait for the end; the exit code as a shell would give it."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to the command."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal; without one, nothing happens."""
        ...

    def close_stdin(self) -> None:
        """End the command's standard input; a terminal stays open."""
        ...


class Execution(NamedTuple):
    """A further command in a box. `terminal` is as in BoxSpec."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    terminal: tuple[int, int] | None


class Executed(Process, Protocol):
    """A further command that was started in a box."""

    async def destroy(self) -> None:
        """End it at once, and give back what it held; what it has started may go on."""
        ...


class Box(Process, Protocol):
    """A box that was made and waits at its gate, and the command in it.

    `sockets` listen inside its network.
    """

    sockets: BoxSockets

    @property
    def exceeded(self) -> Exceeded | None:
        """The limit that ended it, or is about to; final once `wait` or `destroy` has returned."""
        ...

    @property
    def met(self) -> tuple[Exceeded, ...]:
        """All limits that were met, whether or not they ended it."""
        ...

    def open_gate(self) -> None:
        """Let the command start."""
        ...

    async def execute(self, execution: Execution) -> Executed:
        """Start a further command, past the gate. Raises RuntimeUnavailable."""
        ...

    async def wait_exceeded(self) -> Exceeded:
        """Wait until a limit was met for which the box should be destroyed; past the gate."""
        ...

    async def destroy(self) -> None:
        """End everything in the box at once, and give back what it held."""
        ...


class Runtime(Protocol):
    """Where runs happen."""

    name: str

    def make_ready(self) -> None:
        """Find out what does not depend on what the box will be. Raises RuntimeUnavailable."""
        ...

    async def create(self, spec: BoxSpec) -> Box:
        """Make a box, up to its gate. Raises RuntimeUnavailable."""
        ...
