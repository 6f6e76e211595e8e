"""HTTP/1.1 read once more (RFC 9112), byte by byte and without any mercy: what is held against
what the proxy sends. Nothing of the product is used, and nothing is shared with it.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Fields = list[tuple[bytes, bytes]]

_TCHAR = frozenset(b"!#$%&'*+-.^_`|~" + (string.ascii_letters + string.digits).encode())
_VCHAR = frozenset(range(0x21, 0x7F))
_IN_VALUE = _VCHAR | frozenset(range(0x80, 0x100)) | frozenset(b" \t")
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Unsound(Exception):
    """What no strict reader takes."""


@dataclass
class Message:
    """One message as it stood on the wire; `first` are the three parts of its first line.

    `whole` says that all of it was there; if not, `body` is what there was of it. `framing` is
    "none", "length", "chunked" or "rest".
    """

    first: tuple[bytes, bytes, bytes]
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    framing: str = "none"
    whole: bool = True

    def all(self, name: bytes) -> list[bytes]:
        """The values of a header; its name in lower case."""
        return [value for key, value in self.fields if key.lower() == name]


class _Short(Exception):
    """The bytes end here."""


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def line(self) -> bytes:
        """The next line without its end, in which no other CR or LF stands."""
        end = self.data.find(b"\r\n", self.at)
        text = self.data[self.at :] if end < 0 else self.data[self.at : end]
        if b"\n" in text or b"\r" in (text[:-1] if end < 0 else text):
            raise Unsound(f"a line with a bare CR or LF in it: {text[:80]!r}")
        if end < 0:
            raise _Short
        self.at = end + 2
        return text

    def take(self, size: int) -> bytes:
        """As many bytes as there are of these."""
        taken = self.data[self.at : self.at + size]
        self.at += len(taken)
        return taken


def requests(data: bytes) -> list[Message]:
    """The requests on a connection, the last of them perhaps not whole. Raises Unsound."""
    found: list[Message] = []
    rest = _Bytes(data)
    while rest.at < len(data):
        found.append(_read(rest, None))
        if not found[-1].whole:
            break
    return found


def head(data: bytes, *, answers: bool = False) -> Message:
    """A head by itself, whatever it says of a body. Raises Unsound."""
    rest = _Bytes(data)
    line = rest.line()
    return Message(_status_line(line) if answers else _request_line(line), _fields(rest))


def responses(data: bytes, methods: Sequence[str]) -> list[Message]:
    """The answers on a connection to requests of these methods, 1xx among them. Raises Unsound,
    also for what follows the last of them."""
    found: list[Message] = []
    rest = _Bytes(data)
    for method in methods:
        while rest.at < len(data):
            found.append(_read(rest, method))
            if not found[-1].whole or found[-1].first[1] >= b"200":
                break
    if rest.at < len(data) and (not found or found[-1].whole):
        raise Unsound(f"bytes that belong to no answer: {data[rest.at : rest.at + 80]!r}")
    return found


def _read(rest: _Bytes, method: str | None) -> Message:
    message = Message((b"", b"", b""), [], whole=False)
    try:
        line = rest.line()
        message.first = _request_line(line) if method is None else _status_line(line)
        message.fields = _fields(rest)
        _read_body(rest, message, method)
    except _Short:
        return message
    message.whole = True
    return message


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1":
        raise Unsound(f"no request line: {line[:80]!r}")
    _only(parts[0], _TCHAR)
    _only(parts[1], _VCHAR)
    return parts[0], parts[1], parts[2]


def _status_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    version, code, reason = [*line.split(b" ", 2), b"", b""][:3]
    if version != b"HTTP/1.1" or len(code) != 3 or not b"100" <= code <= b"599":
        raise Unsound(f"no status line: {line[:80]!r}")
    _only(code, _DIGITS)
    if reason:
        _only(reason, _IN_VALUE)
    return version, code, reason


def _fields(rest: _Bytes) -> Fields:
    found: Fields = []
    while line := rest.line():
        name, colon, value = line.partition(b":")
        if not colon:
            raise Unsound(f"no header: {line[:80]!r}")
        _only(name, _TCHAR)
        if value:
            _only(value, _IN_VALUE)
        found.append((name, value.strip(b" \t")))
    return found


def _only(text: bytes, allowed: Iterable[int]) -> None:
    if not text or not set(text) <= set(allowed):
        raise Unsound(f"what stands in {text[:80]!r} does not belong there")


def _read_body(rest: _Bytes, message: Message, method: str | None) -> None:
    lengths, codings = message.all(b"content-length"), message.all(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Unsound(f"delimited more than once: {lengths} {codings}")
    if codings and codings != [b"chunked"]:
        raise Unsound(f"coded for the way: {codings}")
    for length in lengths:
        _only(length, _DIGITS)
    status = message.first[1]
    if method is not None and (method == "HEAD" or status < b"200" or status in (b"204", b"304")):
        if codings:
            raise Unsound("chunks where no body is")
        return
    if codings:
        message.framing = "chunked"
        _read_chunks(rest, message)
    elif lengths:
        message.framing = "length"
        message.body = rest.take(int(lengths[0]))
        if len(message.body) < int(lengths[0]):
            raise _Short
    elif method is not None:
        message.framing = "rest"
        message.body = rest.take(len(rest.data))


def _read_chunks(rest: _Bytes, message: Message) -> None:
    while True:
        line = rest.line()
        _only(line, _HEX)
        if len(line) > 8:
            raise Unsound(f"a chunk of no possible size: {line!r}")
        size = int(line, 16)
        if size == 0:
            message.trailers = _fields(rest)
            return
        data = rest.take(size)
        message.body += data
        end = rest.take(2) if len(data) == size else b""
        if end != b"\r\n"[: len(end)]:
            raise Unsound("a chunk that does not end where it should")
        if len(end) < 2:
            raise _Short
