"""The certificate a box trusts, without the weight of making one."""

from __future__ import annotations

import os
from pathlib import Path

from moat.files import ensure_private_dir, open_private_file

_KEY = b"-----BEGIN PRIVATE KEY-----\n"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n"


def ensure_ca_pem(directory: Path) -> bytes:
    """The CA certificate in PEM; the CA is made if it is not there yet.

    Importing the X.509 library costs more than starting a box, so a CA that looks whole is only
    read, once it is known that nobody else can. Raises UnsafeFile or MoatError.
    """
    key_file, certificate_file = directory / "ca.key", directory / "ca.pem"
    if os.path.lexists(key_file) and os.path.lexists(certificate_file):
        ensure_private_dir(directory)
        with open_private_file(key_file) as opened:
            key = opened.read(len(_KEY))
        pem = certificate_file.read_bytes()
        if key == _KEY and pem.startswith(_CERTIFICATE):
            return pem
    from moat.pki.ca import ensure_authority

    return ensure_authority(directory).pem
