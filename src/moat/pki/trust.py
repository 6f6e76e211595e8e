"""Whom Moat trusts when it speaks to the world: the system's roots, and what the user adds."""

from __future__ import annotations

import ssl
from pathlib import Path

from moat.errors import MoatError


def upstream_context(extra_roots: Path | None = None) -> ssl.SSLContext:
    """A client-side TLS context that verifies certificate and name. Raises MoatError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if extra_roots is not None:
        try:
            context.load_verify_locations(cafile=extra_roots)
        except (OSError, ssl.SSLError) as error:
            raise MoatError(
                f"the roots in {extra_roots} cannot be loaded: {error}",
                hint="correct upstream.ca_file in config.yaml",
            ) from error
    return context
