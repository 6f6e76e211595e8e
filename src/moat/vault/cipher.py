"""Sealing: AES-256-GCM, where every seal names what it seals."""

from __future__ import annotations

import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = 1
# NIST SP 800-38D section 8.2.2: a random nonce of 96 bits, for far fewer than 2^32 seals a key.
_NONCE_BYTES = 12


class SealBroken(Exception):
    """What is to be opened was not sealed with this key, for this place, or was changed."""


def _associated(provider: str, profile: str) -> bytes:
    """The place a seal is good for: a file moved to another name does not open there."""
    place = {"format": FORMAT, "profile": profile, "provider": provider}
    return json.dumps(place, sort_keys=True).encode()


def seal(key: bytes, plaintext: bytes, *, provider: str, profile: str) -> bytes:
    """Seal bytes for one place; the result is the nonce, then ciphertext and tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, _associated(provider, profile))


def open_sealed(key: bytes, sealed: bytes, *, provider: str, profile: str) -> bytes:
    """Open what was sealed for this place. Raises SealBroken."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _associated(provider, profile))
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error
