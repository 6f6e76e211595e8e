"""TLS on both sides of the proxy, made ready while the box starts.

Loading the CA, the system's roots and the library they take lasts longer than making a box, and
many runs never open a connection: so it is done when first wanted, or beside the event loop.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.pki.leaf import LeafCache


class LazyTls:
    """Server-side contexts by host, and the client-side context. Safe from several threads."""

    def __init__(self, *, ca: Path, extra_roots: Path | None) -> None:
        self._ca = ca
        self._extra_roots = extra_roots
        self._lock = threading.Lock()
        self._leaves: LeafCache | None = None
        self._upstream: ssl.SSLContext | None = None

    def context_for(self, host: str) -> ssl.SSLContext:
        """The context to meet a client with. Raises UnsafeFile or MoatError."""
        with self._lock:
            if self._leaves is None:
                from moat.pki.ca import ensure_authority
                from moat.pki.leaf import LeafCache

                self._leaves = LeafCache(ensure_authority(self._ca))
            return self._leaves.context_for(host)

    def upstream(self) -> ssl.SSLContext:
        """The context to meet the world with. Raises MoatError."""
        with self._lock:
            if self._upstream is None:
                from moat.pki.trust import upstream_context

                self._upstream = upstream_context(self._extra_roots)
            return self._upstream

    def warm(self, hosts: Iterable[str]) -> None:
        """Make everything ready for hosts that will be asked for."""
        for host in hosts:
            self.context_for(host)
            self.upstream()
