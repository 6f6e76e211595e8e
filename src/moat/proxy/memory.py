"""Memory of a process that is a proxy: settled once, before it serves."""

from __future__ import annotations

import ctypes
import gc

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Above every buffer of the data path. A process whose reads happen to lie on the threshold maps
# and unmaps memory for each of them, which costs more than TLS does.
_LARGE = 8 << 20
_KEPT = 32 << 20
# Objects made between two looks for cycles: a request makes some hundred, and no cycle.
_YOUNG = 20_000


def settle_memory() -> None:
    """Let buffers be reused and what is there by now stay; look for cycles seldom."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc's
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    gc.set_threshold(_YOUNG, 20, 50)
    gc.enable()
    gc.freeze()
