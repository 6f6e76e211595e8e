"""A short-lived child that enters a box's namespaces, does one thing there and hands back the rest.

It never runs anything of the box: it is this program, forked, outside the box's process namespace
and done before the box's command starts.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
from collections.abc import Callable, Sequence

from moat.errors import RuntimeUnavailable

_NS_GET_USERNS = 0xB701  # linux/nsfs.h
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_MOST = 16  # descriptors that are handed back
_KINDS = {"net": 0x40000000, "mnt": 0x00020000}


def inside(pid: int, kind: str, work: Callable[[], Sequence[int]], *, failure: str) -> list[int]:
    """Do some work in a namespace of a process, "net" or "mnt"; the descriptors it opened there.

    The process must be ours. Called while this process has one thread: the child must be able
    to enter a user namespace. Raises RuntimeUnavailable, which begins with `failure`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    child = os.fork()
    if child == 0:
        _child(ours, theirs, pid, kind, work)
    theirs.close()
    try:
        message, descriptors = _receive(ours)
    finally:
        ours.close()
        os.waitpid(child, 0)
    if message != "ok":
        raise RuntimeUnavailable(
            f"{failure}: {message or 'the helper died'}", hint="run: moat doctor"
        )
    return descriptors


def _child(
    ours: socket.socket,
    theirs: socket.socket,
    pid: int,
    kind: str,
    work: Callable[[], Sequence[int]],
) -> None:
    try:
        ours.close()
        _enter(pid, kind)
        socket.send_fds(theirs, [b"ok"], work())
    except BaseException as error:
        theirs.send(str(error).encode(errors="replace")[:1000])
    finally:
        os._exit(0)


def _enter(pid: int, kind: str) -> None:
    """Enter the user namespace that owns a namespace of a process, then that namespace."""
    namespace = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    libc = ctypes.CDLL(None, use_errno=True)
    for descriptor, flag in ((owner, _CLONE_NEWUSER), (namespace, _KINDS[kind])):
        if libc.setns(descriptor, flag) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def _receive(ours: socket.socket) -> tuple[str, list[int]]:
    descriptors = array.array("i")
    message, ancillary, _, _ = ours.recvmsg(
        1000, socket.CMSG_SPACE(_MOST * descriptors.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return message.decode(errors="replace"), list(descriptors)
