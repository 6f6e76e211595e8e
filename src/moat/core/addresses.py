"""Which resolved addresses may be dialled."""

from __future__ import annotations

import ipaddress

# Addresses that carry another one inside: what counts is where they lead.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


def is_public(text: str) -> bool:
    """Whether an address belongs to the open internet.

    Private, loopback, link-local (with the clouds' metadata services), shared, benchmark,
    documentation, multicast and unspecified addresses do not, in whatever IPv6 form they are
    wrapped. Raises ValueError for what is not an address.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64_LOCAL:
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast
