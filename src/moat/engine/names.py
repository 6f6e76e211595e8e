"""Names for clients that know no proxy: which of them resolve, and to what.

A name that policy may allow is given an address of its own, which stands for it until the run ends
and means nothing outside the box. Who connects to it has said which name is meant. No name is ever
asked of anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from moat.core.hosts import Destination, Scheme, canonical_host, is_address
from moat.engine.dns import AAAA, A, Code, Query
from moat.engine.policy import Policy

_WAYS: tuple[tuple[Scheme, int], ...] = (("https", 443), ("http", 80), ("https", 80))

_SECONDS = 60
# A hostile box may ask for any number of names below one that is allowed; each is kept.
_MOST = 16_384
# RFC 2544 and RFC 4193: for benchmarks, and for whoever drew this number. Neither is ever dialled.
_V4 = bytes((198, 18))
_V6 = bytes.fromhex("fd4d 6f61 7400") + bytes(8)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query is answered; `refused` is a host whose address was asked for and is withheld."""

    code: Code
    address: bytes = b""
    seconds: int = _SECONDS
    refused: str | None = None


class Names:
    """The names of one run that have been asked for, each with its two addresses."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._numbers: dict[str, int] = {}
        self._hosts: dict[str, str] = {}

    def answer(self, query: Query, policy: Policy) -> Answer:
        """Look a name up; it is given an address where policy may allow a request to it."""
        if query.odd:
            return Answer(Code.REFUSED)
        host = _host(query.name)
        if host is None:
            return Answer(Code.NO_SUCH_NAME)
        wanted = query.kind in (A, AAAA)
        if not may_allow(policy, host):
            return Answer(Code.NO_SUCH_NAME, refused=host if wanted else None)
        if not wanted:
            return Answer(Code.OK)
        number = self._number(host)
        if number is None:
            return Answer(Code.FAILED)
        return Answer(Code.OK, (_V4 if query.kind == A else _V6) + number.to_bytes(2, "big"))

    def at(self, address: str) -> str | None:
        """The host an address, as the kernel writes it, was given to; None for any other."""
        return self._hosts.get(address)

    def _number(self, host: str) -> int | None:
        """The number of a host, from 1; None when there are too many. None is given away again: a
        program may remember an address for as long as it runs."""
        number = self._numbers.get(host)
        if number is None and len(self._numbers) < self._most:
            number = self._numbers[host] = len(self._numbers) + 1
            self._hosts[f"198.18.{number >> 8}.{number & 255}"] = host
            self._hosts[f"fd4d:6f61:7400::{number:x}"] = host
        return number


def _host(name: str) -> str | None:
    """A name as policy knows it; None where it is none, or an address."""
    if not name.isascii():
        return None
    try:
        host = canonical_host(name)
    except ValueError:
        return None
    return None if is_address(host) else host


def may_allow(policy: Policy, host: str) -> bool:
    """Whether policy may allow some request to a host by a client that knows no proxy."""
    return any(_may_allow(policy, Destination(scheme, host, port)) for scheme, port in _WAYS)


def _may_allow(policy: Policy, destination: Destination) -> bool:
    rule = next((rule for rule in policy.rules if rule.covers(destination)), None)
    if rule is not None:
        return rule.action == "allow"  # perhaps at some paths only: that is for the request
    return policy.mode != "strict" and "." in destination.host
