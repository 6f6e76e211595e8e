"""The opening handshake of WebSocket, as far as it differs between HTTP/1.1 (RFC 6455, section 4)
and HTTP/2 (RFC 8441)."""

from __future__ import annotations

import base64
import hashlib
import secrets

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key() -> bytes:
    """A Sec-WebSocket-Key nobody has used before."""
    return base64.b64encode(secrets.token_bytes(16))


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that goes with a key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
