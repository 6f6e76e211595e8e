"""The certificate a box trusts, without the weight of making one."""

from __future__ import annotations

import os
from pathlib import Path


def ensure_ca_pem(directory: Path) -> bytes:
    """The CA certificate in PEM; the CA is made if it is not there yet.

    Importing the X.509 library costs more than starting a box, so a CA that exists is only read.
    """
    key_file, certificate_file = directory / "ca.key", directory / "ca.pem"
    if os.path.lexists(key_file) and os.path.lexists(certificate_file):
        return certificate_file.read_bytes()
    from moat.pki.ca import ensure_authority

    return ensure_authority(directory).pem
