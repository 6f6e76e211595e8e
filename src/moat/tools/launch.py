"""Become another program that is killed when the process that started it dies.

Run as a script: `python -I -S launch.py PARENT_PID PROGRAM ARGUMENT…`. A script and not a
`preexec_fn`, because Python code between fork and exec may deadlock when there are threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    """Ask for the signal, make sure the parent has not died before the asking, and exec."""
    parent, program = int(arguments[0]), arguments[1]
    libc = ctypes.CDLL(None)
    libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(program, arguments[1:])  # noqa: S606 - an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
