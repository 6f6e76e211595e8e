"""Leaf certificates, made ready while the box starts."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.pki.leaf import LeafCache


class LazyLeaves:
    """Loads the CA, and the library it takes, when the first leaf is wanted.

    That takes longer than making a box, and many runs never open a connection.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._cache: LeafCache | None = None

    def context_for(self, host: str) -> ssl.SSLContext:
        """The TLS context for a host. Raises UnsafeFile or MoatError if the CA cannot be used."""
        with self._lock:
            if self._cache is None:
                from moat.pki.ca import ensure_authority
                from moat.pki.leaf import LeafCache

                self._cache = LeafCache(ensure_authority(self._directory))
            return self._cache.context_for(host)

    def warm(self, hosts: Iterable[str]) -> None:
        """Make leaves ready for hosts that will be asked for; runs beside the event loop."""
        for host in hosts:
            self.context_for(host)
