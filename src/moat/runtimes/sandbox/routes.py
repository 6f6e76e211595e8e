"""The one route of a box: whatever the address, it is this machine's own (rtnetlink).

Called inside the box's network namespace. A packet that is delivered locally goes nowhere else.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP = 1
_LOOPBACK = 1  # the index of `lo` in every network namespace
_SECONDS = 10.0
_PAUSE = 0.0002

# linux/netlink.h
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE = 0x001, 0x004, 0x200, 0x400
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ERROR = struct.Struct("=i")  # the beginning of struct nlmsgerr
_NLMSG_ERROR = 2

# linux/rtnetlink.h, linux/if_addr.h
_RTM_NEWADDR, _RTM_NEWROUTE = 20, 24
_IFADDRMSG = struct.Struct("=BBBBI")  # struct ifaddrmsg
_RTMSG = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL = 255, 3, 254, 2
_IFA_LOCAL, _RTA_OIF = 2, 4

# The C library leaves names alone for a family of which a machine has loopback's address only.
_OWN = {socket.AF_INET: "198.19.0.1", socket.AF_INET6: "fd4d:6f61:7400:1::1"}


def wait_for_loopback() -> None:
    """Wait until bubblewrap has brought loopback up; to do it ourselves would be a race.

    Raises OSError.
    """
    until = time.monotonic() + _SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        while True:
            answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
            if struct.unpack("16xH14x", answer)[0] & _IFF_UP:
                return
            if time.monotonic() > until:
                raise TimeoutError("loopback is not up")
            time.sleep(_PAUSE)


def keep_every_address(family: int) -> None:
    """Deliver every address of a family here: `ip route add local default dev lo table local`.

    Loopback gets one more of its own. Raises OSError.
    """
    own = socket.inet_pton(family, _OWN[socket.AddressFamily(family)])
    address = _IFADDRMSG.pack(family, 8 * len(own), 0, _RT_SCOPE_HOST, _LOOPBACK)
    _tell_kernel(_RTM_NEWADDR, address + _attribute(_IFA_LOCAL, own))
    where = (_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL)
    route = _RTMSG.pack(family, 0, 0, 0, *where, 0)
    _tell_kernel(_RTM_NEWROUTE, route + _attribute(_RTA_OIF, struct.pack("=I", _LOOPBACK)))


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content  # all of them multiples of four


def _tell_kernel(kind: int, content: bytes) -> None:
    flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_EXCL
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(content), kind, flags, 1, 0) + content)
        answer = kernel.recv(4096)
    _, answered, _, _, _ = _HEADER.unpack_from(answer)
    (code,) = _ERROR.unpack_from(answer, _HEADER.size)
    if answered != _NLMSG_ERROR or code != 0:
        raise OSError(-code, f"the box has no route to itself: {os.strerror(-code)}")
