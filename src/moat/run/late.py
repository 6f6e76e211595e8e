"""What a supervisor may need at some time, loaded when it has nothing better to do.

Moat may be replaced or removed while a run lives: what is not loaded by then would be missing.
"""

from __future__ import annotations

from importlib import import_module

from moat import log

# All that anything of a supervisor's imports when it first wants it.
LATE = (
    "moat.pki.ca",
    "moat.pki.leaf",
    "moat.pki.trust",
    "moat.proxy.h2_client",
    "moat.proxy.h2_pool",
    "moat.proxy.h2_to_h1",
    "moat.run.box_terminal",
    "moat.run.executing",
    "moat.runtimes.sandbox.execute",
    "moat.vault.cipher",
)


def load_late() -> None:
    """Load it."""
    try:
        for name in LATE:
            import_module(name)
    except ImportError:  # it has been replaced already; what is wanted of it will say so
        log.get(__name__).exception("not all of Moat can be loaded any more")
