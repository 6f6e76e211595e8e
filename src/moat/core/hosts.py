"""Where a request goes (`Destination`) and which destinations are meant (`HostPattern`).

Three laws hold for both, so that what policy judges is what is dialled:

1. A host has one spelling. It is made once, here, and never re-read from the wire.
2. A spelling that two parsers could read differently (`127.1`, `0x7f.1`, a NUL, a space, user
   information, an empty label) is refused, not repaired.
3. There is one matcher, used for policy and for credentials alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Scheme = Literal["http", "https"]
DEFAULT_PORTS: dict[str, int] = {"http": 80, "https": 443}

# RFC 1123 section 2.1, with the underscore that real names carry (_dmarc, some S3 buckets).
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label that a C library would read as (part of) an IPv4 address: 1, 0x7f, 0177.
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_NAT64 = "64:ff9b::/96"  # RFC 6052
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# RFC 5892 and RFC 3490 read these differently: one spelling, two names.
_TWO_NAMES = frozenset("ßẞς\u200c\u200d")


def canonical_host(text: str) -> str:
    """The one spelling of a host name or address; IPv6 comes back without brackets.

    Raises ValueError naming what is wrong.
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    if ":" in text:
        return _ipv6(text)
    host = text if text.isascii() else _to_ascii(text)
    host = host.lower().removesuffix(".")
    if not host:
        raise ValueError("the host is empty")
    if len(host) > 253:
        raise ValueError("the host is longer than 253 characters")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _ipv4(host)
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{text!r} is not a host name")
    return host


def _to_ascii(text: str) -> str:
    if not _TWO_NAMES.isdisjoint(text):
        raise ValueError(f"{text!r} could mean two names; write the one with xn-- that is meant")
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{text!r} is not a host name") from None


def _ipv4(text: str) -> str:
    import ipaddress  # here, since most hosts are names and every start pays for an import

    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text!r} is an odd spelling of an address") from None


def _ipv6(text: str) -> str:
    import ipaddress

    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError(f"{text!r} carries a zone, which only this machine understands")
    if address.ipv4_mapped or address.sixtofour or address in ipaddress.IPv6Network(_NAT64):
        raise ValueError(f"{text!r} is an odd spelling of an IPv4 address")
    return str(address)


def is_address(host: str) -> bool:
    """Whether a canonical host is an IP address rather than a name."""
    return ":" in host or _NUMERIC.fullmatch(host.rpartition(".")[2]) is not None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def _split_port(text: str) -> tuple[str, str | None]:
    """Split `host:port`, `[v6]:port`, `host` or `[v6]` without judging the host."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not HOST:PORT")
        return host + bracket, rest[1:] if rest else None
    if text.count(":") > 1:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets, as [::1]:443")
    host, colon, port = text.partition(":")
    return host, port if colon else None


def parse_host_port(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, the port required; IPv6 in brackets. Raises ValueError."""
    host, port = _split_port(text)
    if port is None:
        raise ValueError(f"{text!r} has no port; write HOST:PORT")
    return canonical_host(host), _port(port)


def format_host_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Destination:
    """One place a request may go: scheme, canonical host, port."""

    scheme: Scheme
    host: str
    port: int
    # Made once, since every request of a connection asks for them.
    authority: str = field(init=False, repr=False, compare=False)
    _text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "authority", self._authority())
        object.__setattr__(self, "_text", f"{self.scheme}://{self.authority}")

    def __hash__(self) -> int:
        return hash(self.host)  # which a string remembers

    @classmethod
    def parse(cls, scheme: Scheme, authority: str) -> Destination:
        """Make one from an authority (`host` or `host:port`). Raises ValueError."""
        host, port = _split_port(authority)
        return cls(
            scheme, canonical_host(host), DEFAULT_PORTS[scheme] if port is None else _port(port)
        )

    def _authority(self) -> str:
        """What a Host header of this destination says: the default port is left out."""
        if self.port == DEFAULT_PORTS[self.scheme]:
            return f"[{self.host}]" if ":" in self.host else self.host
        return format_host_port(self.host, self.port)

    def __str__(self) -> str:
        return self._text


class HostPattern(NamedTuple):
    """Which destinations are meant: `host`, `*.suffix`, either with `:port` (443 without).

    `*.example.com` means every name below example.com, and not example.com itself.
    """

    host: str
    port: int = 443
    below: bool = False

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read a pattern as a person writes it. Raises ValueError with the reason."""
        if "/" in text:
            raise ValueError(f"{text!r}: write a host, not a URL")
        host, port = _split_port(text)
        below = host.startswith("*.")
        if below:
            host = host[2:]
        if "*" in host:
            raise ValueError(f"{text!r}: a star stands only in front, as *.example.com")
        host = canonical_host(host)
        if below and is_address(host):
            raise ValueError(f"{text!r}: an address has no subdomains")
        if below and "." not in host:
            raise ValueError(f"{text!r} would mean a whole top-level domain")
        return cls(host, 443 if port is None else _port(port), below)

    def matches(self, destination: Destination) -> bool:
        """Whether a destination is meant by this pattern."""
        return destination.port == self.port and self.names(destination.host)

    def names(self, host: str) -> bool:
        """Whether a canonical host is meant, whatever the port."""
        return host.endswith("." + self.host) if self.below else host == self.host

    @property
    def is_local_service(self) -> bool:
        """Whether this names one service by address, or on this machine.

        Only such a pattern may lead to a private address: a public name never does, so that
        its owner cannot point it into the user's network.
        """
        return not self.below and (self.host == "localhost" or is_address(self.host))

    def __str__(self) -> str:
        host = "*." + self.host if self.below else self.host
        if self.port == 443:
            return f"[{host}]" if ":" in host else host
        return format_host_port(host, self.port)
