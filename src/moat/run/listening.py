"""Where a proxy listens on the host."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from moat.core.hosts import canonical_host, format_host_port, is_address
from moat.errors import MoatError, UsageError, system_error

_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_HOW = "write ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080; port 0 is any that is free"


@dataclass(frozen=True, slots=True)
class Place:
    """An address of this machine, without brackets, and a port; 0 for any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what was typed. Raises UsageError."""
        host, colon, port = ("", "", "") if text.endswith("]") else text.rpartition(":")
        if not colon:
            host, port = text, "0"
        if ":" in host and not host.startswith("["):
            raise UsageError(f"--listen: {text!r}: an IPv6 address stands in brackets", hint=_HOW)
        try:
            found = canonical_host(host)
        except ValueError as error:
            raise UsageError(f"--listen: {text!r}: {error}", hint=_HOW) from None
        if found == "localhost":
            found = "127.0.0.1"
        if not is_address(found):
            raise UsageError(f"--listen: {found} is a name, and not an address", hint=_HOW)
        if not _PORT.fullmatch(port) or int(port) > 65535:
            raise UsageError(f"--listen: {port!r} is no port", hint=_HOW)
        return cls(found, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but processes of this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_every_address(self) -> bool:
        """Whether it stands for all addresses of this machine, and is none."""
        return ipaddress.ip_address(self.host).is_unspecified

    @property
    def near(self) -> str:
        """The address at which a process of this machine reaches it."""
        if self.is_every_address:
            return "::1" if ":" in self.host else "127.0.0.1"
        return self.host

    def __str__(self) -> str:
        return format_host_port(self.host, self.port)


def open_listener(place: Place) -> socket.socket:
    """A socket that listens at a place, and at no other. Raises MoatError."""
    is_v6 = ":" in place.host
    listener = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Connections of the last one there may still be ending; a live listener is respected.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((place.host, place.port))
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise _refused(place, error) from None
    return listener


def _refused(place: Place, error: OSError) -> MoatError:
    match error.errno:
        case errno.EADDRINUSE:
            return MoatError(
                f"somebody listens at {place} already",
                hint="see whether it is one of yours: moat list; or choose another port",
            )
        case errno.EADDRNOTAVAIL:
            return MoatError(
                f"{place.host} is no address of this machine", hint="see those it has: ip address"
            )
        case errno.EACCES:
            return MoatError(
                f"this account may not listen at port {place.port}",
                hint="choose a port of 1024 or more, or 0 for any that is free",
            )
    return system_error(error)
