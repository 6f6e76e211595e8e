"""Java's trust store, written out; that Java itself reads it is shown in a box (e2e/test_trust)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from moat.pki.bundle import ensure_ca_pem
from moat.pki.java import java_trust_store

_HEAD = 4  # tag and length of what is longer than 255 bytes


def certificates_in(store: bytes) -> list[tuple[bytes | None, x509.Certificate]]:
    """Name and certificate of each entry; there is no key."""
    read = pkcs12.load_pkcs12(store, None)
    assert (None, None) == (read.key, read.cert)
    return [(entry.friendly_name, entry.certificate) for entry in read.additional_certs]


@pytest.fixture
def pems(tmp_path: Path) -> list[bytes]:
    return [ensure_ca_pem(tmp_path / name) for name in ("a", "b")]


def test_it_is_what_the_library_writes(pems: list[bytes]) -> None:
    """To the byte, but for the digest by a password, which it has none of: so also the mark by
    which Java trusts a certificate."""
    certificate = x509.load_pem_x509_certificate(pems[0])
    entry = pkcs12.PKCS12Certificate(certificate, b"moat-1")
    library = pkcs12.serialize_java_truststore([entry], NoEncryption())
    ours = java_trust_store(pems[0])
    assert ours[_HEAD:] == library[_HEAD : len(ours)]
    assert len(library) > len(ours)


def test_every_certificate_is_in_it(pems: list[bytes]) -> None:
    """Under a name of its own, as one of the same name would take its place."""
    text = b"a word before\n" + pems[0] + b"and between\n" + pems[1]
    assert [
        (b"moat-1", x509.load_pem_x509_certificate(pems[0])),
        (b"moat-2", x509.load_pem_x509_certificate(pems[1])),
    ] == certificates_in(java_trust_store(text))


def test_what_is_none_is_left_out(pems: list[bytes]) -> None:
    """Nobody is trusted for a certificate that is cut, or was none."""
    none = b"-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n"
    for text in (b"", none, pems[0][:-30], b"-----END CERTIFICATE-----\n"):
        assert [] == certificates_in(java_trust_store(text))
    assert 1 == len(certificates_in(java_trust_store(none + pems[1])))
