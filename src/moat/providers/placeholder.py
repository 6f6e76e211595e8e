"""A grant's own placeholder, by which it is known wherever it turns up."""

from __future__ import annotations

from binascii import crc32

from moat.engine.placeholder import MARK


def placeholder_of(grant_ref: str) -> str:
    """What a box holds for a grant whose programs look for no certain form: a text that is part
    of no other grant's."""
    # A sum at its end, or that of `mine` would be how that of `mine2` begins.
    name = grant_ref.replace(":", "-")
    return f"{MARK}-{name}-{crc32(grant_ref.encode()):08x}"
