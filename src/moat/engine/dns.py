"""Messages of the domain name system (RFC 1035), as far as a resolver needs them that asks nobody.

One question is read and answered. What follows it (EDNS, mostly) is not looked at: an answer is one
address at most, and needs nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# More than a question of any length needs.
MAX_MESSAGE = 1400
A, AAAA = 1, 28
_INTERNET = 1
_FIRST_META = 128  # RFC 6895: types from here to 255 are about a query and not of a record
_LAST_META = 255

_HEAD = 12
_IS_ANSWER = 0x8000
_OPCODE = 0x7800
_RECURSION_DESIRED = 0x0100
_RECURSION_AVAILABLE = 0x0080
_POINTER = b"\xc0\x0c"  # to the name in the question


class Code(IntEnum):
    """How an answer says it went."""

    OK = 0
    FAILED = 2
    NO_SUCH_NAME = 3
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it was asked.

    `name` is as it was written, a byte a character, without the last dot; `kind` is the type of
    record. `odd` says that it is none to answer at all.
    """

    number: int
    flags: int
    odd: bool = False
    name: str = ""
    kind: int = 0
    question: bytes = b""


def parse_query(message: bytes) -> Query:
    """Read a query. Raises ValueError for what does not deserve an answer."""
    if not _HEAD <= len(message) <= MAX_MESSAGE:
        raise ValueError("too short or too long for a query")
    number, flags, questions, answers, authorities = (
        int.from_bytes(message[at : at + 2], "big") for at in range(0, 10, 2)
    )
    if flags & _IS_ANSWER:
        raise ValueError("an answer nobody asked for")
    if flags & _OPCODE or (questions, answers, authorities) != (1, 0, 0):
        return Query(number, flags, odd=True)
    name, end = _read_name(message, _HEAD)
    if len(message) < end + 4:
        raise ValueError("cut short")
    kind = int.from_bytes(message[end : end + 2], "big")
    of_class = int.from_bytes(message[end + 2 : end + 4], "big")
    odd = of_class != _INTERNET or _FIRST_META <= kind <= _LAST_META
    return Query(number, flags, odd, name, kind, b"" if odd else message[_HEAD : end + 4])


def _read_name(message: bytes, position: int) -> tuple[str, int]:
    """A name, and where it ends. A label that is more than one to somebody else is not read."""
    labels = []
    start = position
    while True:
        if position >= len(message):
            raise ValueError("cut short")
        size = message[position]
        position += 1
        if size == 0:
            break
        if size > 63:
            raise ValueError("a question cannot point elsewhere")
        label = message[position : position + size]
        position += size
        if b"." in label:
            raise ValueError("a dot in a label")
        labels.append(label)
    if position - start > 255:
        raise ValueError("a name too long")
    return b".".join(labels).decode("latin-1"), position


def render_answer(query: Query, code: Code, address: bytes = b"", *, seconds: int = 0) -> bytes:
    """The answer to a query: an address, which holds for so many seconds, or none."""
    flags = _IS_ANSWER | query.flags & (_OPCODE | _RECURSION_DESIRED) | _RECURSION_AVAILABLE | code
    head = (query.number, flags, int(bool(query.question)), int(bool(address)), 0, 0)
    message = b"".join(field.to_bytes(2, "big") for field in head) + query.question
    if not address:
        return message
    record = query.kind.to_bytes(2, "big") + _INTERNET.to_bytes(2, "big")
    record += seconds.to_bytes(4, "big") + len(address).to_bytes(2, "big") + address
    return message + _POINTER + record
