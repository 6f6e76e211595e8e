"""Ways the stand-in can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """Answer every authorized request with this HTTP status."""

    status: int


@dataclass(frozen=True)
class Cut:
    """Break the connection off half-way through each response."""


@dataclass(frozen=True)
class Stall:
    """Fall silent half-way through each response and keep the connection open."""


@dataclass(frozen=True)
class Silence:
    """Take each request, and send nothing but the head of the answer."""


Fault = Status | Cut | Stall | Silence


def parse_fault(text: str) -> Fault:
    """Read `status=N`, `cut`, `stall` or `silence`; raises ValueError for anything else."""
    name, _, number = text.partition("=")
    match name, number:
        case "cut", "":
            return Cut()
        case "stall", "":
            return Stall()
        case "silence", "":
            return Silence()
        case "status", _ if number.isdecimal() and 400 <= int(number) <= 599:
            return Status(int(number))
        case _:
            raise ValueError(
                f"{text!r} is not a fault: expected status=400..599, cut, stall or silence"
            )
