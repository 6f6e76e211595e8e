"""Java's trust store: PKCS #12 (RFC 7292) with certificates in it, and nothing secret.

Written out here, as importing the X.509 library costs more than starting a box. Like the stores
that the JDK has brought since 18, it is neither encrypted nor sealed, and so has no password.
"""

from __future__ import annotations

import binascii
import contextlib
import re
from collections.abc import Iterator

_INTEGER, _OCTETS, _OID, _BMP_STRING, _SEQUENCE, _SET, _EXPLICIT = 2, 4, 6, 30, 0x30, 0x31, 0xA0

# Object identifiers, as they are encoded.
_DATA = bytes.fromhex("2a864886f70d010701")  # 1.2.840.113549.1.7.1
_CERT_BAG = bytes.fromhex("2a864886f70d010c0a0103")  # 1.2.840.113549.1.12.10.1.3
_X509 = bytes.fromhex("2a864886f70d01091601")  # 1.2.840.113549.1.9.22.1
_FRIENDLY_NAME = bytes.fromhex("2a864886f70d010914")  # 1.2.840.113549.1.9.20
# Oracle's "trusted key usage", without which Java does not see that a certificate is to be trusted.
_TRUSTED = bytes.fromhex("6086480186f966adca7b0101")  # 2.16.840.1.113894.746875.1.1
_ANY_USAGE = bytes.fromhex("551d2500")  # 2.5.29.37.0

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def java_trust_store(pem: bytes) -> bytes:
    """A trust store of the certificates in a PEM text; without any, it trusts nobody."""
    bags = (_bag(number, found) for number, found in enumerate(_certificates(pem), start=1))
    contents = _tlv(_SEQUENCE, _typed(_DATA, _tlv(_SEQUENCE, *bags)))
    return _tlv(_SEQUENCE, _tlv(_INTEGER, b"\x03"), _typed(_DATA, contents))


def _certificates(pem: bytes) -> Iterator[bytes]:
    """Each in DER; text that is no base64 is left out, as it vouches for nobody."""
    for text in _PEM.findall(pem):
        with contextlib.suppress(binascii.Error):
            yield binascii.a2b_base64(text)


def _bag(number: int, certificate: bytes) -> bytes:
    """SafeBag: a certificate with a name of its own, to be trusted."""
    name = f"moat-{number}".encode("utf-16-be")
    # A set is in the order of its encodings (X.690 section 11.6).
    attributes = sorted(
        (
            _attribute(_FRIENDLY_NAME, _tlv(_BMP_STRING, name)),
            _attribute(_TRUSTED, _tlv(_OID, _ANY_USAGE)),
        )
    )
    return _tlv(
        _SEQUENCE,
        _tlv(_OID, _CERT_BAG),
        _tlv(_EXPLICIT, _typed(_X509, certificate)),
        _tlv(_SET, *attributes),
    )


def _typed(kind: bytes, content: bytes) -> bytes:
    """Octets with what they are: both ContentInfo and CertBag."""
    return _tlv(_SEQUENCE, _tlv(_OID, kind), _tlv(_EXPLICIT, _tlv(_OCTETS, content)))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return _tlv(_SEQUENCE, _tlv(_OID, kind), _tlv(_SET, value))


def _tlv(tag: int, *contents: bytes) -> bytes:
    """Tag, length and value in DER."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
