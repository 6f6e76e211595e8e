"""One certificate authority for each home, made once, never quietly made anew."""

from __future__ import annotations

import datetime
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from moat.errors import MoatError, UnsafeFile
from moat.pki.bundle import ensure_ca_pem
from moat.pki.ca import ensure_authority, private_pem

MAKING = """
import sys
from pathlib import Path
from moat.pki.ca import ensure_authority
sys.stdin.read(1)
print(ensure_authority(Path(sys.argv[1])).certificate.serial_number)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ca"


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_ca_can_sign_leaves_and_nothing_else(directory: Path) -> None:
    """P-256, a CA of path length 0, for signing certificates only."""
    certificate = ensure_authority(directory).certificate
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert "secp256r1" == key.curve.name
    get = certificate.extensions.get_extension_for_class
    basic = get(x509.BasicConstraints)
    assert (True, True, 0) == (basic.critical, basic.value.ca, basic.value.path_length)
    usage = get(x509.KeyUsage)
    assert (True, True, False) == (
        usage.critical,
        usage.value.key_cert_sign,
        usage.value.digital_signature,
    )
    assert get(x509.SubjectKeyIdentifier).value.digest == (
        get(x509.AuthorityKeyIdentifier).value.key_identifier
    )
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_key_is_ours_alone(directory: Path, umask: int) -> None:
    """The directory is 0700, key and lock 0600, whatever the umask."""
    before = os.umask(umask)
    try:
        ensure_authority(directory)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {"ca.key": 0o600, "ca.pem": 0o644, ".lock": 0o600} == modes
    assert 0o700 == stat.S_IMODE(directory.stat().st_mode)


def test_it_is_made_once(directory: Path) -> None:
    """Asking again gives the same CA, and writes nothing."""
    first = ensure_authority(directory)
    before = files(directory)
    assert first.pem == ensure_authority(directory).pem == ensure_ca_pem(directory)
    assert before == files(directory)


def test_processes_that_begin_at_once_get_the_same(directory: Path) -> None:
    """However many ask first, one CA is made."""
    command = [sys.executable, "-c", MAKING, str(directory)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("!")
        process.stdin.flush()
    serials = {process.communicate(timeout=60)[0] for process in processes}
    assert {f"{ensure_authority(directory).certificate.serial_number}\n"} == serials


@pytest.mark.parametrize("ensure", [ensure_authority, ensure_ca_pem])
def test_a_making_that_was_killed_is_done_again(
    directory: Path, ensure: Callable[[Path], object]
) -> None:
    """The key is written first; alone it is what a killed start leaves, and no obstacle."""
    old = ensure_authority(directory).pem
    (directory / "ca.pem").unlink()
    ensure(directory)
    authority = ensure_authority(directory)
    assert old != authority.pem
    assert authority.certificate.public_key() == authority.key.public_key()


def test_half_a_ca_is_told(directory: Path) -> None:
    """With its key gone nothing is made anew; doing what the hint says makes a new one."""
    old = ensure_authority(directory).pem
    (directory / "ca.key").unlink()
    before = files(directory)
    for ensure in (ensure_authority, ensure_ca_pem):
        with pytest.raises(MoatError, match="half of Moat's certificate authority") as caught:
            ensure(directory)
        assert before == files(directory)
    mend(caught.value)
    assert old != ensure_authority(directory).pem


def mend(error: MoatError) -> None:
    command = shlex.split(str(error.hint).partition("made: ")[2])
    assert "rm" == command[0]
    subprocess.run(command, check=True)


def other_pem(curve: ec.EllipticCurve | None = None) -> bytes:
    return private_pem(ec.generate_private_key(curve or ec.SECP256R1()))


def damaged() -> dict[str, tuple[str, bytes]]:
    ed = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    return {
        "another key": ("ca.key", other_pem()),
        "a key of another curve": ("ca.key", other_pem(ec.SECP384R1())),
        "a key of another kind": ("ca.key", ed),
        "a key with a password": ("ca.key", locked),
        "no key": ("ca.key", b"garbage"),
        "an empty key": ("ca.key", b""),
        "half a key": ("ca.key", other_pem()[:80]),
        "no certificate": ("ca.pem", b"garbage"),
        "an empty certificate": ("ca.pem", b""),
        "half a certificate": ("ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIB"),
        "a key for a certificate": ("ca.pem", other_pem()),
    }


@pytest.mark.parametrize(("name", "content"), damaged().values(), ids=damaged().keys())
def test_a_damaged_ca_is_told(directory: Path, name: str, content: bytes) -> None:
    """What cannot be used is told and left alone; doing what the hint says makes a new one."""
    ensure_authority(directory)
    (directory / name).write_bytes(content)
    before = files(directory)
    with pytest.raises(MoatError, match="Moat's certificate authority in") as caught:
        ensure_authority(directory)
    assert before == files(directory)
    mend(caught.value)
    ensure_authority(directory)


@pytest.mark.parametrize(("name", "content"), [("ca.key", b"garbage"), ("ca.pem", b"garbage")])
def test_no_box_is_given_a_ca_that_is_none(directory: Path, name: str, content: bytes) -> None:
    """What a box is to trust is looked at before the box is made."""
    ensure_ca_pem(directory)
    (directory / name).write_bytes(content)
    with pytest.raises(MoatError, match="is damaged"):
        ensure_ca_pem(directory)


def test_an_expired_ca_is_told(directory: Path) -> None:
    """A CA past its end is told as that, or every connection would fail without a reason."""
    authority = ensure_authority(directory)
    then = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    old = (
        x509.CertificateBuilder()
        .subject_name(authority.certificate.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(authority.key.public_key())
        .serial_number(1)
        .not_valid_before(then)
        .not_valid_after(then + datetime.timedelta(days=1))
        .sign(authority.key, hashes.SHA256())
    )
    (directory / "ca.pem").write_bytes(old.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(MoatError, match="expired on 2020-01-02"):
        ensure_authority(directory)


@pytest.mark.parametrize("ensure", [ensure_authority, ensure_ca_pem])
@pytest.mark.parametrize(("name", "mode"), [("ca.key", 0o640), (".", 0o755)])
def test_a_key_others_can_read_is_refused(
    directory: Path, ensure: object, name: str, mode: int
) -> None:
    """A key open to others, or in a directory that is, signs nothing; its chmod mends it."""
    assert callable(ensure)
    pem = ensure_authority(directory).pem
    (directory / name).chmod(mode)
    with pytest.raises(UnsafeFile) as caught:
        ensure(directory)
    subprocess.run(shlex.split(str(caught.value.hint).removeprefix("run: ")), check=True)
    ensure(directory)
    assert pem == ensure_ca_pem(directory)


def test_a_link_is_refused(directory: Path) -> None:
    """A key is not read through a link, even to a good key."""
    ensure_authority(directory)
    shutil.move(directory / "ca.key", directory / "elsewhere")
    (directory / "ca.key").symlink_to("elsewhere")
    with pytest.raises(UnsafeFile, match="symbolic link"):
        ensure_ca_pem(directory)
