"""Header lines, kept as the block of bytes they came in.

Most requests are looked at for a handful of headers and passed on: what nobody reads is never
taken apart, and what must go is cut out of the block in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

Headers = Sequence[tuple[bytes, bytes]]
"""Names and values of headers, in their order and with their spelling: a tuple, or Fields."""

_LINE = re.compile(rb"\r\n([^:]+):[ \t]*([^\r]*)")


class Fields(Sequence[tuple[bytes, bytes]]):
    """Headers as one block of sound lines, each with its line end before it: `raw`."""

    __slots__ = ("_pairs", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._pairs: tuple[tuple[bytes, bytes], ...] | None = None

    @property
    def pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers taken apart."""
        if self._pairs is None:
            found = _LINE.findall(self.raw)
            self._pairs = tuple([(name, value.rstrip(b" \t")) for name, value in found])
        return self._pairs

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return self.raw.count(b"\r\n")

    @overload
    def __getitem__(self, index: int) -> tuple[bytes, bytes]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[bytes, bytes], ...]: ...
    def __getitem__(
        self, index: int | slice
    ) -> tuple[bytes, bytes] | tuple[tuple[bytes, bytes], ...]:
        return self.pairs[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Fields | tuple):
            return self.pairs == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        return f"Fields({len(self)})"  # a credential may stand in one


def block(headers: Headers) -> bytes:
    """The lines of headers, each with its line end before it."""
    if type(headers) is Fields:
        return headers.raw
    return b"".join([b"\r\n%b: %b" % pair for pair in headers])


def extended(headers: Headers, lines: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers with more behind them."""
    if type(headers) is Fields:
        return Fields(headers.raw + b"".join([b"\r\n%b: %b" % line for line in lines]))
    return (*headers, *lines)


def get_all(headers: Headers, name: bytes) -> list[bytes]:
    """Every value of a header; `name` in lower case."""
    if type(headers) is not Fields:
        return [value for key, value in headers if key.lower() == name]
    return [value.rstrip(b" \t") for value in _finders[name].findall(headers.raw)]


def get_some(headers: Headers, names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """The names, in lower case, and values of the named headers; names in lower case."""
    if type(headers) is not Fields:
        return [(name.lower(), value) for name, value in headers if name.lower() in names]
    return [
        (name.lower(), value.rstrip(b" \t"))
        for name, value in _choosers[names].findall(headers.raw)
    ]


def without(headers: Headers, names: frozenset[bytes]) -> Headers:
    """The headers less the named ones; names in lower case, and as they are spelled."""
    if type(headers) is not Fields:
        return tuple([pair for pair in headers if pair[0].lower() not in names])
    return Fields(_exact[names].sub(b"", headers.raw))


def without_folded(headers: Headers, names: frozenset[bytes]) -> Headers:
    """The headers less the named ones, names in lower case and with `-`, also where `_` stands
    for it: servers that make variables of headers (RFC 3875 section 4.1.18) take the two for
    one."""
    if type(headers) is not Fields:
        return tuple([pair for pair in headers if folded[pair[0]] not in names])
    return Fields(_cutters[names].sub(b"", headers.raw))


class _Folded(dict[bytes, bytes]):
    """Names of headers as those servers compare them. The usual ones are folded once; a client
    may make up any number."""

    def __missing__(self, name: bytes) -> bytes:
        result = name.lower().replace(b"_", b"-")
        if len(self) < 1024 and len(name) <= 64:
            self[name] = result
        return result


folded = _Folded()


class _Finders(dict[bytes, "re.Pattern[bytes]"]):
    """What finds the values of a header. Names come from the program alone, so they are few."""

    def __missing__(self, name: bytes) -> re.Pattern[bytes]:
        found = re.compile(rb"\r\n" + re.escape(name) + rb":[ \t]*([^\r]*)", re.IGNORECASE)
        self[name] = found
        return found


_finders = _Finders()


class _Cutters(dict[frozenset[bytes], "re.Pattern[bytes]"]):
    """What finds whole lines by their names."""

    def __init__(self, *, folding: bool) -> None:
        self._folding = folding

    def __missing__(self, names: frozenset[bytes]) -> re.Pattern[bytes]:
        found = re.compile(
            rb"\r\n(?:" + b"|".join(map(self._written, sorted(names))) + rb"):[^\r]*",
            re.IGNORECASE,
        )
        if len(self) >= 256:  # those a client may list in Connection are among them
            self.clear()
        self[names] = found
        return found

    def _written(self, name: bytes) -> bytes:
        return re.escape(name).replace(rb"\-", b"[-_]") if self._folding else re.escape(name)


class _Choosers(dict[frozenset[bytes], "re.Pattern[bytes]"]):
    """What finds the names and values of some headers. Names come from the program alone."""

    def __missing__(self, names: frozenset[bytes]) -> re.Pattern[bytes]:
        found = re.compile(
            rb"\r\n(" + b"|".join(map(re.escape, sorted(names))) + rb"):[ \t]*([^\r]*)",
            re.IGNORECASE,
        )
        self[names] = found
        return found


_choosers = _Choosers()
_cutters = _Cutters(folding=True)
_exact = _Cutters(folding=False)


def lower(names: Iterable[str]) -> frozenset[bytes]:
    """Names as `without_folded` takes them."""
    return frozenset([folded[name.encode("ascii")] for name in names])
