"""Heads of requests and responses, as every transport speaks them.

Headers are kept in their order and with their spelling: what the proxy does not have a reason to
change, it does not change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from moat.core.hosts import Destination
from moat.engine.fields import (
    Fields,
    Headers,
    block,
    extended,
    get_all,
    lower,
    without,
    without_folded,
)

__all__ = [
    "HOP_BY_HOP",
    "Fields",
    "Headers",
    "Request",
    "Response",
    "block",
    "get_all",
    "is_for_proxies",
    "tokens",
    "without",
]

# RFC 9110 section 7.6.1: about one connection only, so never passed on. Nor is what
# `is_for_proxies`.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)


def is_for_proxies(name: bytes) -> bool:
    """Whether a header is for whoever stands here, by its name in lower case: `Proxy-` and
    anything, or `Proxy` alone, which some programs take for where they are to connect."""
    return name[:5] == b"proxy" and name[5:6] in (b"", b"-", b"_")


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The elements of the values of a comma-separated header, in lower case."""
    return [
        element.strip().lower()
        for value in values
        for element in value.split(b",")
        if element.strip()
    ]


class Request(NamedTuple):
    """A request head: method, where it goes, the target's path and query, end-to-end headers.

    Where it goes stands in `destination` alone: no Host is among the headers. `upgrade` is the
    protocol asked for by an Upgrade header, in lower case, or None. `body` is how many bytes
    follow, None where that is not known before their end.
    """

    method: str
    destination: Destination
    target: str
    headers: Headers
    upgrade: str | None = None
    body: int | None = 0

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url})"  # a credential may stand in a header

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.destination}{self.target}"

    def with_header(self, name: str, value: str) -> Request:
        """The same with one header of this name, whatever there was before."""
        rest = without_folded(self.headers, lower((name,)))
        pair = (name.encode("ascii"), value.encode("latin-1"))
        return self.with_headers(extended(rest, (pair,)))

    def without_headers(self, names: Iterable[str]) -> Request:
        """The same without the named headers, also where `_` stands for `-`."""
        return self.with_headers(without_folded(self.headers, lower(names)))

    def with_headers(self, headers: Headers) -> Request:
        """The same with these headers and no others."""
        return Request(self.method, self.destination, self.target, headers, self.upgrade, self.body)


class Response(NamedTuple):
    """A response head: status, reason phrase, end-to-end headers.

    `upgrade` is the protocol switched to (status 101), in lower case, or None. `body` is how many
    bytes follow, None where that is not known before their end.
    """

    status: int
    headers: Headers = ()
    reason: bytes = b""
    upgrade: str | None = None
    body: int | None = 0

    @property
    def is_final(self) -> bool:
        """Whether no other answer to the same request follows."""
        return self.status >= 200 or self.upgrade is not None
