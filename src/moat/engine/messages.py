"""Heads of requests and responses, as every transport speaks them.

Headers are kept as the pairs of bytes that came, in their order and with their spelling: what
the proxy does not have a reason to change, it does not change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from moat.core.hosts import Destination

Headers = tuple[tuple[bytes, bytes], ...]

# RFC 9110 section 7.6.1: about one connection only, so never passed on.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"upgrade",
    }
)


def get_all(headers: Headers, name: bytes) -> list[bytes]:
    """Every value of a header; `name` in lower case."""
    return [value for key, value in headers if key.lower() == name]


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The elements of the values of a comma-separated header, in lower case."""
    return [
        element.strip().lower()
        for value in values
        for element in value.split(b",")
        if element.strip()
    ]


def without(headers: Headers, names: Iterable[bytes]) -> Headers:
    """The headers less the named ones; names in lower case."""
    dropped = names if isinstance(names, frozenset) else frozenset(names)
    return tuple([pair for pair in headers if pair[0].lower() not in dropped])


def _folded(name: bytes) -> bytes:
    return name.replace(b"_", b"-")


def end_to_end(headers: Headers) -> Headers:
    """The headers less everything that concerns one connection only."""
    listed = tokens(get_all(headers, b"connection"))
    return without(headers, HOP_BY_HOP.union(listed) if listed else HOP_BY_HOP)


@dataclass(frozen=True, slots=True)
class Request:
    """A request head: method, where it goes, the target's path and query, end-to-end headers.

    `upgrade` is the protocol asked for by an Upgrade header, in lower case, or None.
    """

    method: str
    destination: Destination
    target: str
    headers: Headers = field(repr=False)  # a credential may have been put in
    upgrade: str | None = None

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.destination}{self.target}"

    def with_header(self, name: str, value: str) -> Request:
        """The same with one header of this name, whatever there was before."""
        pair = (name.encode("ascii"), value.encode("latin-1"))
        return self._with((*self.without_headers((name,)).headers, pair))

    def without_headers(self, names: Iterable[str]) -> Request:
        """The same without the named headers, also where `_` stands for `-`.

        Servers that make variables of headers (RFC 3875 section 4.1.18) take the two for one.
        """
        dropped = {_folded(name.lower().encode("ascii")) for name in names}
        return self._with(
            tuple([pair for pair in self.headers if _folded(pair[0].lower()) not in dropped])
        )

    def _with(self, headers: Headers) -> Request:
        # dataclasses.replace takes three times as long
        return Request(self.method, self.destination, self.target, headers, self.upgrade)


@dataclass(frozen=True, slots=True)
class Response:
    """A response head: status, reason phrase, end-to-end headers.

    `upgrade` is the protocol switched to (status 101), in lower case, or None.
    """

    status: int
    headers: Headers = ()
    reason: bytes = b""
    upgrade: str | None = None
