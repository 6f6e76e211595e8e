"""Sockets that listen inside the box's network, while their bytes are read outside.

The box has loopback and nothing else. The sockets are made in there by a helper and their
descriptors handed back: no forwarder runs in the box, no route leads out, and there is no firewall
to get wrong. Every address is routed to loopback: who connects to one arrives here at the ports of
the web, and nowhere at any other.
"""

from __future__ import annotations

import socket

from moat.runtimes.interface import DIRECT_PORTS, PROXY_HOST, PROXY_PORT, RESOLVER_PORT, BoxSockets
from moat.runtimes.sandbox.namespaces import inside
from moat.runtimes.sandbox.routes import keep_every_address, wait_for_loopback

_IP_FREEBIND = 15  # linux/in.h: bind even while loopback is still being brought up
_BACKLOG = 512


def listen_in_netns(pid: int) -> BoxSockets:
    """The sockets of a box, in the network namespace of a process of ours.

    Called while this process has one thread. Raises RuntimeUnavailable.
    """

    def listen() -> list[int]:
        made = [
            _listen(socket.AF_INET, PROXY_HOST, PROXY_PORT),
            _bind(socket.AF_INET, socket.SOCK_DGRAM, PROXY_HOST, RESOLVER_PORT),
            _listen(socket.AF_INET, PROXY_HOST, RESOLVER_PORT),
        ]
        wait_for_loopback()
        keep_every_address(socket.AF_INET)
        made += [_listen(socket.AF_INET, "0.0.0.0", port) for port in DIRECT_PORTS]  # noqa: S104
        if _has_ipv6():
            keep_every_address(socket.AF_INET6)
            made += [_listen(socket.AF_INET6, "::", port) for port in DIRECT_PORTS]
        return [each.detach() for each in made]

    descriptors = inside(pid, "net", listen, failure="the proxy cannot listen inside the box")
    proxy, datagrams, streams, *direct = (socket.socket(fileno=each) for each in descriptors)
    return BoxSockets(proxy, tuple(direct), datagrams, streams)


def _listen(family: int, host: str, port: int) -> socket.socket:
    listener = _bind(family, socket.SOCK_STREAM, host, port)
    listener.listen(_BACKLOG)
    return listener


def _bind(family: int, kind: int, host: str, port: int) -> socket.socket:
    made = socket.socket(family, kind)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    made.bind((host, port))
    return made


def _has_ipv6() -> bool:
    """Whether this network speaks it; a kernel can be told not to.

    Asked after a route was made: by then the kernel is done with bringing loopback up.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
