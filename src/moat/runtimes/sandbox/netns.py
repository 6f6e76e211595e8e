"""A socket that listens inside the box's network, while its bytes are read outside.

The box has loopback and nothing else. The listening socket is made in there by a helper and its
descriptor handed back: no forwarder runs in the box, no route leads out, and there is no
firewall to get wrong.
"""

from __future__ import annotations

import socket

from moat.runtimes.sandbox.namespaces import inside

_IP_FREEBIND = 15  # linux/in.h: bind even while loopback is still being brought up
_BACKLOG = 512


def listen_in_netns(pid: int, host: str, port: int) -> socket.socket:
    """A socket listening at host and port in the network namespace of a process of ours.

    Called while this process has one thread. Raises RuntimeUnavailable.
    """

    def listen() -> list[int]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        return [listener.detach()]

    (descriptor,) = inside(pid, "net", listen, failure="the proxy cannot listen inside the box")
    # Naming the protocol matters: without it the event loop leaves Nagle's algorithm on.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, descriptor)
