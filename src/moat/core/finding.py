"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, and what to do where it is not well.

    `fail` means that runs will not work; `warn` that something about them will not.
    """

    status: Status
    subject: str
    detail: str
    hint: str | None = None
