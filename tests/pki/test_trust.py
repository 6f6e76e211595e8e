"""The world is met with the system's roots, and with those the person adds."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.pki.ca import ensure_authority
from moat.pki.trust import upstream_context


def roots(context: ssl.SSLContext) -> set[bytes]:
    return set(context.get_ca_certs(binary_form=True))


def test_certificate_and_name_are_verified() -> None:
    """There is no way to a context that does not verify."""
    context = upstream_context()
    assert (True, ssl.CERT_REQUIRED) == (context.check_hostname, context.verify_mode)
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version


def test_added_roots_come_besides_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roots of the person's add to the system's and take none away."""
    system, added = (ensure_authority(tmp_path / name).pem for name in ("system", "added"))
    (tmp_path / "system.pem").write_bytes(system)
    (tmp_path / "added.pem").write_bytes(added)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    only, both = (ssl.PEM_cert_to_DER_cert(pem.decode()) for pem in (system, added))
    assert {only} == roots(upstream_context())
    assert {only, both} == roots(upstream_context(tmp_path / "added.pem"))


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nMII"])
def test_roots_that_cannot_be_loaded_are_told(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing or holds no certificate is named, with the setting to correct."""
    file = tmp_path / "roots.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(MoatError, match=str(file)) as caught:
        upstream_context(file)
    assert "upstream.ca_file" in str(caught.value.hint)
