"""How many connections a process that is a proxy may hold: as many as its own bounds let it."""

from __future__ import annotations

import resource

# Clients, their streams of HTTP/2, an upstream for each, the idle ones, and some to spare. What a
# shell gives is 1024, and who has none left can neither take a client nor write things down.
_ENOUGH = 4096


def raise_descriptor_limit() -> None:
    """Take what the machine's own limit leaves. Processes begun before keep what they have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
