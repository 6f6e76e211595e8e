"""The key that seals the store: 32 bytes in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from moat.errors import GrantError
from moat.files import open_private_file, write_atomic

KEY_BYTES = 32


def load_key(file: Path) -> bytes | None:
    """The key, or None where there is none yet. Raises UnsafeFile, or GrantError when damaged."""
    try:
        with open_private_file(file) as opened:
            key = opened.read()
    except FileNotFoundError:
        return None
    if len(key) != KEY_BYTES:
        raise GrantError(
            f"the vault's key {file} is damaged: {len(key)} bytes instead of {KEY_BYTES}",
            hint="restore it from a backup; without it the stored credentials cannot be opened",
        )
    return key


def make_key(file: Path) -> bytes:
    """Make the key. The caller holds the store's lock and has seen that there is none."""
    key = os.urandom(KEY_BYTES)
    write_atomic(file, key, mode=0o600)
    return key
