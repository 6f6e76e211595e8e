"""Something a body streams through on its way: it may change bytes, hold some back, or refuse."""

from __future__ import annotations

from typing import Protocol

from moat.engine.messages import Headers
from moat.engine.problem import Problem


class Refused(Exception):
    """What came by may not go on; `problem` is what the client is told, if it still can be."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Transform(Protocol):
    """One direction of one exchange. Sans I/O; used for one body and thrown away."""

    def feed(self, data: bytes) -> bytes:
        """What can go on, these bytes being the next of the body. Raises Refused."""
        ...

    def finish(self) -> bytes:
        """What was held back, once the body has ended. Raises Refused."""
        ...


class Cleaner(Transform, Protocol):
    """What takes secrets out of an answer: its body, and the fields behind it.

    Looking takes time: of more than `piece` bytes at once, others would have to wait too long.
    """

    @property
    def piece(self) -> int:
        """How many bytes it should be fed at most."""
        ...

    def fields(self, headers: Headers) -> Headers:
        """Headers or trailers without secrets in their values."""
        ...
