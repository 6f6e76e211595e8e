"""What a runtime is: it makes boxes.

Loaded by type checkers alone: a start has no time for what nothing is looked up in.
"""

from __future__ import annotations

from typing import Protocol

from moat.core.limits import Exceeded
from moat.runtimes.interface import BoxSockets, BoxSpec, Execution


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
