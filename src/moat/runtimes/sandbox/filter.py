"""The filter of system calls of this machine, as bubblewrap takes it."""

from __future__ import annotations

from moat.errors import RuntimeUnavailable
from moat.runtimes.sandbox.filters import FILTERS


def filter_program(machine: str) -> bytes:
    """The filter as an array of `struct sock_filter`, for `bwrap --seccomp FD`.

    `machine` is spelled as in `os.uname().machine`. Raises RuntimeUnavailable for any but x86_64
    and aarch64: a box without its filter is not made.
    """
    if machine not in FILTERS:
        raise RuntimeUnavailable(
            f"Moat has no system-call filter for this machine's processor ({machine})",
            hint="run Moat on an x86_64 or aarch64 machine",
        )
    return bytes.fromhex(FILTERS[machine])
