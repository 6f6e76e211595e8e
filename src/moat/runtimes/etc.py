"""The files of /etc that a box gets made for it."""

from __future__ import annotations

from moat.pki.pack import trust_files
from moat.runtimes.interface import HOME, PROXY_HOST, UID, USER

_NOBODY = 65534
# The names of what is made; each is mounted by itself.
ETC_MADE = (
    "group",
    "hosts",
    "nsswitch.conf",
    "passwd",
    "resolv.conf",
    "ssl/certs/ca-certificates.crt",
    "ssl/certs/java/cacerts",
)


def etc_files(ca_pem: bytes) -> dict[str, bytes]:
    """Name below /etc and content. Every certificate a box meets is signed by Moat's own CA, so
    that is all it trusts."""
    return {
        "passwd": (
            f"root:x:0:0:root:/root:/usr/sbin/nologin\n"
            f"{USER}:x:{UID}:{UID}:{USER}:{HOME}:/bin/sh\n"
            f"nobody:x:{_NOBODY}:{_NOBODY}:nobody:/nonexistent:/usr/sbin/nologin\n"
        ).encode(),
        "group": f"root:x:0:\n{USER}:x:{UID}:\nnogroup:x:{_NOBODY}:\n".encode(),
        "hosts": b"127.0.0.1\tlocalhost moat\n::1\tlocalhost\n",
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
        # It answers at once or never will: a name is not asked of anybody.
        "resolv.conf": f"nameserver {PROXY_HOST}\noptions timeout:2 attempts:2\n".encode(),
        **trust_files(ca_pem),
    }
