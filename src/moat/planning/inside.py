"""Addresses that are not on the open internet: what it opens to allow one."""

from __future__ import annotations

from moat.core.addresses import is_public
from moat.core.hosts import HostPattern, is_address

# Where clouds answer the machine itself: AWS and most others, AWS for containers, Alibaba, Azure,
# Oracle, AWS over IPv6.
_METADATA = frozenset(
    {
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
    }
)


def what_it_opens(host: str) -> str | None:
    """What a person should know who lets a box reach a host, as HostPattern reads it; None where
    it goes without saying, and for what is no host."""
    try:
        pattern = HostPattern.parse(host)
    except ValueError:
        return None
    if pattern.below or not is_address(pattern.host) or is_public(pattern.host):
        return None
    if pattern.host in _METADATA:
        return (
            f"{pattern} is where clouds give a machine its own credentials: if this one runs in a "
            "cloud, whatever is in the box can take them"
        )
    return f"{pattern} is on this machine or its network, and not on the open internet"
