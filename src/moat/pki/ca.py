"""The local certificate authority: one for each MOAT_HOME, its key readable by its owner alone."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from moat.errors import MoatError
from moat.files import ensure_private_dir, open_private_file, write_atomic

_YEARS = 10


@dataclass(frozen=True)
class Authority:
    """A CA certificate with its key; `pem` is the certificate alone."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    pem: bytes


def ensure_authority(directory: Path) -> Authority:
    """Load the CA kept in a directory, or make it there the first time.

    Raises UnsafeFile when others could read the key, MoatError when the key is missing: a new CA
    is never made over an old one. A key without a certificate is what a start that was killed
    leaves behind; nothing can trust it yet, so it is made anew.
    """
    ensure_private_dir(directory)
    with _locked(directory / ".lock"):
        key_file, certificate_file = directory / "ca.key", directory / "ca.pem"
        if not os.path.lexists(certificate_file):
            _make(key_file, certificate_file)
        elif not os.path.lexists(key_file):
            raise MoatError(
                f"half of Moat's certificate authority is missing: {certificate_file} stands alone",
                hint=f"remove it, and a new one is made: rm {shlex.quote(str(certificate_file))}",
            )
        return _load(key_file, certificate_file)


def _load(key_file: Path, certificate_file: Path) -> Authority:
    with open_private_file(key_file) as opened:
        key_pem = opened.read()
    try:
        pem = certificate_file.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refusal(key_file.parent, "is damaged") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _refusal(key_file.parent, "cannot be used: its key is not an elliptic-curve key")
    if certificate.public_key() != key.public_key():
        raise _refusal(key_file.parent, "cannot be used: the key is not the certificate's")
    expired = certificate.not_valid_after_utc
    if expired <= datetime.datetime.now(datetime.UTC):
        raise _refusal(key_file.parent, f"expired on {expired:%Y-%m-%d}")
    return Authority(certificate, key, pem)


def _refusal(directory: Path, reason: str) -> MoatError:
    return MoatError(
        f"Moat's certificate authority in {directory} {reason}",
        hint=f"remove it, and a new one is made: rm -r {shlex.quote(str(directory))}",
    )


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make(key_file: Path, certificate_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Moat local CA")])
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    write_atomic(key_file, private_pem(key), mode=0o600)
    write_atomic(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PEM, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What the key of a CA, or of a server, may be used for."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
