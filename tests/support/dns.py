"""Questions for names, written by hand."""

from __future__ import annotations

import struct

from moat.engine.dns import A


def labels(name: str) -> bytes:
    """A name as it stands in a message."""
    return b"".join(
        bytes((len(label),)) + label.encode("latin-1") for label in name.split(".") if label
    ) + bytes(1)


def query(
    name: bytes = labels("api.example.com"),
    kind: int = A,
    *,
    number: int = 0x1234,
    flags: int = 0x0100,
    of_class: int = 1,
    counts: tuple[int, int, int, int] = (1, 0, 0, 0),
    more: bytes = b"",
) -> bytes:
    """A question as a client asks it."""
    return (
        struct.pack("!6H", number, flags, *counts)
        + name
        + struct.pack("!HH", kind, of_class)
        + more
    )
