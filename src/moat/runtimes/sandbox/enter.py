"""Runs a program in a box that is there already: a process of its own, started with nothing.

It is run as a script, without Moat and without the site's packages, so that there is nothing in its
memory that the box must not see. It enters the namespaces of the box's first process, and gives the
program what the box's own command was given, and no more: no capabilities, no new privileges, the
same system-call filter, the same limits.

What it is to do comes at descriptor 3, once we are held to the limits of the box, as JSON: `pid` of
the first process, `command`, `environment`, `directory`, `umask`, `terminal`. The filter is at
descriptor 4; at descriptor 5 it says the program's process id, or why there is none.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import sys
import termios
import warnings  # noqa: F401  # os.execvpe wants it, and it is too late then
from typing import Any, NoReturn

_TOLD, _FILTER, _SAYS = 3, 4, 5
_NS_GET_USERNS = 0xB701  # linux/nsfs.h
# What the command of a box lives in, by the name in /proc and the flag of setns(2).
_NAMESPACES = (
    ("net", 0x40000000),
    ("ipc", 0x08000000),
    ("uts", 0x04000000),
    ("cgroup", 0x02000000),
    ("pid", 0x20000000),
    ("mnt", 0x00020000),
)
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main() -> NoReturn:
    """Enter, run, and end as the program does."""
    seccomp, said = _read(_FILTER), _read(_TOLD)
    if not said:  # whoever started us is gone
        os._exit(125)
    told = json.loads(said)
    # What would be loaded from here on would be the box's.
    sys.meta_path.clear()
    try:
        _enter(told["pid"])
        child = os.fork()
        if child == 0:
            _be_the_program(told, seccomp)
        os.write(_SAYS, f"{child}\n".encode())
    except OSError as error:
        os.write(_SAYS, f"the box cannot be entered: {error}\n".encode())
        os._exit(125)
    for descriptor in (0, 1, 2, _SAYS):
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _enter(pid: int) -> None:
    """Enter the namespaces of a process of ours: those that its box was made in, then its own."""
    opened = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), flag) for name, flag in _NAMESPACES]
    own = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    outer = fcntl.ioctl(opened[0][0], _NS_GET_USERNS)
    _setns(outer, _CLONE_NEWUSER)
    for descriptor, flag in opened:
        _setns(descriptor, flag)
    if os.fstat(own).st_ino != os.fstat(outer).st_ino:
        _setns(own, _CLONE_NEWUSER)
    # Nothing in the box may look into us, or into our child before it is the program. Entering a
    # user namespace takes both back, so they come behind it.
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _be_the_program(told: dict[str, Any], seccomp: bytes) -> NoReturn:
    code = 126
    name = told["command"][0]
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        if told["terminal"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(told["directory"])
        os.umask(told["umask"])
        os.closerange(3, 1 << 16)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        _drop_capabilities()
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        program = _Program(len(seccomp) // 8, seccomp)
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))
        os.execvpe(name, told["command"], told["environment"])  # noqa: S606  # no shell is wanted
    except OSError as error:
        why = error.strerror
        if error.errno == errno.ENOENT:
            code, why = 127, "there is no such program in the box"
        os.write(2, f"moat: {name}: {why}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _drop_capabilities() -> None:
    last = 0
    while _LIBC.prctl(_PR_CAPBSET_DROP, last, 0, 0, 0) == 0:
        last += 1
    if last == 0:
        raise OSError(errno.EPERM, "the bounding set cannot be emptied")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _checked(_LIBC.capset(header, none))


def _setns(descriptor: int, flag: int) -> None:
    _checked(_LIBC.setns(descriptor, flag))


def _prctl(option: int, *arguments: object) -> None:
    values = [a if not isinstance(a, int) else ctypes.c_ulong(a) for a in arguments]
    values += [ctypes.c_ulong(0)] * (4 - len(values))
    _checked(_LIBC.prctl(option, *values))


def _checked(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
