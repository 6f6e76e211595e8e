"""A socket that listens inside the box's network, while its bytes are read outside.

The box has loopback and nothing else. A short-lived child enters its user and network
namespaces, makes the listening socket there and hands the descriptor back: no forwarder runs
in the box, no route leads out, and there is no firewall to get wrong.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket

from moat.errors import RuntimeUnavailable

_NS_GET_USERNS = 0xB701  # linux/nsfs.h
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000
_IP_FREEBIND = 15  # linux/in.h: bind even while loopback is still being brought up
_BACKLOG = 512


def listen_in_netns(pid: int, host: str, port: int) -> socket.socket:
    """A socket listening at host and port in the network namespace of a process.

    The process must be ours. Called while this process has one thread: the child must be able
    to enter a user namespace. Raises RuntimeUnavailable.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    child = os.fork()
    if child == 0:
        _child(ours, theirs, pid, host, port)
    theirs.close()
    try:
        message, descriptors = _receive(ours)
    finally:
        ours.close()
        os.waitpid(child, 0)
    if not descriptors:
        raise RuntimeUnavailable(
            f"the proxy cannot listen inside the box: {message or 'the helper died'}",
            hint="run: moat doctor",
        )
    # Naming the protocol matters: without it the event loop leaves Nagle's algorithm on.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, descriptors[0])


def _child(ours: socket.socket, theirs: socket.socket, pid: int, host: str, port: int) -> None:
    status = 1
    try:
        ours.close()
        _enter(pid)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
            socket.send_fds(theirs, [b"ok"], [listener.fileno()])
        status = 0
    except BaseException as error:
        theirs.send(str(error).encode()[:1000])
    finally:
        os._exit(status)


def _enter(pid: int) -> None:
    """Enter the user namespace that owns a process's network, then that network."""
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
    libc = ctypes.CDLL(None, use_errno=True)
    for descriptor, kind in ((owner, _CLONE_NEWUSER), (network, _CLONE_NEWNET)):
        if libc.setns(descriptor, kind) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def _receive(ours: socket.socket) -> tuple[str, list[int]]:
    descriptors = array.array("i")
    message, ancillary, _, _ = ours.recvmsg(
        1000, socket.CMSG_SPACE(descriptors.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return message.decode(errors="replace"), list(descriptors)
