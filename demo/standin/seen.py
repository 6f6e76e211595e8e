"""What the stand-in saw, kept so that it can be shown without showing a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request, and how it was answered."""

    method: str
    path: str
    host: str
    authorized: bool
    authorization_digest: str | None
    """SHA-256 in hex of the Authorization value, or None if there was none."""
    websocket: bool
    status: int


def digest(authorization: Sequence[str]) -> str | None:
    """Return the digest to keep in place of these Authorization values."""
    if not authorization:
        return None
    # HTTP's own way to write a repeated field as one (RFC 9110, section 5.3).
    value = ", ".join(authorization)
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def append(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
