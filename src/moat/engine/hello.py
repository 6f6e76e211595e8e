"""What a TLS client says first: the server name in its ClientHello (RFC 8446, RFC 6066).

Only what decides where a connection goes is read, and strictly: the TLS library reads the same
bytes again, and the two must not differ. An encrypted ClientHello is judged by its outer name: that
is the one it will be met under, and the requests in it must agree.
"""

from __future__ import annotations

# A hello with post-quantum keys takes 2 KiB, in one record. More than this is an attack.
_MAX_HELLO = 16 * 1024
_MAX_RECORDS = 16

_HANDSHAKE, _CLIENT_HELLO = 0x16, 0x01
_MAX_FRAGMENT = 1 << 14
_SERVER_NAME = 0
_HOST_NAME = 0


class Incomplete(Exception):
    """More bytes are needed: `size` of them in all, at least."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def server_name(data: bytes) -> str | None:
    """The name that a connection beginning with these bytes asks for, as it was written; None if
    its ClientHello names nobody.

    Raises Incomplete, and ValueError for what is no ClientHello.
    """
    hello = _Reader(_handshake(data))
    hello.take(2 + 32)  # version, random
    hello.vector(1, most=32)  # session
    hello.vector(2, least=2)  # cipher suites
    hello.vector(1, least=1)  # compression
    if not hello.rest:
        return None
    name, seen = None, set()
    extensions = hello.vector(2)
    hello.end()
    while extensions.rest:
        kind = extensions.number(2)
        content = extensions.vector(2)
        if kind in seen:
            raise ValueError("an extension of the ClientHello stands there twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _host_name(content)
    return name


def _host_name(extension: _Reader) -> str:
    names = extension.vector(2, least=1)
    extension.end()
    if names.number(1) != _HOST_NAME:
        raise ValueError("the server name is of an unknown kind")
    name = names.vector(2, least=1, most=255).rest
    names.end()  # a second name of the same kind is forbidden, and there is no other kind
    return name.decode("ascii")  # its error is a ValueError


def _handshake(data: bytes) -> bytes:
    """The content of the first handshake message, put together from its records."""
    message = b""
    position = 0
    for _ in range(_MAX_RECORDS):
        if len(data) < position + 5:
            raise Incomplete(position + 5)
        kind, major = data[position], data[position + 1]
        size = int.from_bytes(data[position + 3 : position + 5], "big")
        if kind != _HANDSHAKE or major != 3 or not 0 < size <= _MAX_FRAGMENT:
            raise ValueError("not a TLS handshake")
        position += 5 + size
        # What is there of it says early that it is not worth waiting for the rest.
        message += data[position - size : position]
        wanted = _wanted(message)
        if len(data) < position:
            raise Incomplete(position)
        if len(message) == wanted:
            return message[4:]
        if wanted is not None and len(message) > wanted:
            raise ValueError("more than a ClientHello in its records")
    raise ValueError("a ClientHello in too many pieces")


def _wanted(message: bytes) -> int | None:
    """How long a handshake message is with its head, once that can be told."""
    if message and message[0] != _CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    if len(message) < 4:
        return None
    wanted = 4 + int.from_bytes(message[1:4], "big")
    if wanted > _MAX_HELLO:
        raise ValueError("a ClientHello too long")
    return wanted


class _Reader:
    """Takes one field after the other off some bytes. Raises ValueError where they run out."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest

    def take(self, size: int) -> bytes:
        if len(self.rest) < size:
            raise ValueError("the ClientHello is cut short")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int, *, least: int = 0, most: int = 0xFFFF) -> _Reader:
        """A field with its length before it, in so many bytes."""
        length = self.number(size)
        if not least <= length <= most:
            raise ValueError("a field of the ClientHello has a length it cannot have")
        return _Reader(self.take(length))

    def end(self) -> None:
        if self.rest:
            raise ValueError("the ClientHello goes on where it should end")
