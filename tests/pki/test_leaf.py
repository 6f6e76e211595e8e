"""A client that trusts the CA is met as the host it asked for, and as no other."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from moat.pki.ca import Authority, ensure_authority
from moat.pki.leaf import LeafCache

LONG = ".".join(["a" * 60] * 4)  # longer than a common name may be
HOSTS = ["api.openai.com", "127.0.0.1", "::1", "_dmarc.example.com", LONG]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture
def leaves(authority: Authority) -> LeafCache:
    return LeafCache(authority)


def client_context(authority: Authority, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory: the client's end, and the server's. Raises what the client sees."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                if end is ends[0]:
                    raise
                ends[0].do_handshake()  # it has been sent an alert
            waiting.remove(end)
        if not waiting:
            return ends
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize("host", HOSTS)
def test_a_client_that_trusts_the_ca_is_met(
    authority: Authority, leaves: LeafCache, host: str
) -> None:
    """The chain verifies, strictly, for names and for addresses."""
    client, _ = shake_hands(leaves.context_for(host), client_context(authority), host)
    ((kind, name),) = client.getpeercert()["subjectAltName"]  # type: ignore[index,misc]
    wanted = {"127.0.0.1": "127.0.0.1", "::1": "0:0:0:0:0:0:0:1"}.get(host)
    assert (
        ("DNS", host) == (kind, name) if wanted is None else ("IP Address", wanted) == (kind, name)
    )


def test_a_client_that_does_not_trust_the_ca_refuses(leaves: LeafCache) -> None:
    """Nobody else takes our leaves: the CA is in no system's store."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(leaves.context_for("a.example"), ssl.create_default_context(), "a.example")


@pytest.mark.parametrize("asked", ["B.example", "a.example.evil", "example", "x.a.example"])
def test_another_name_in_the_hello_is_refused(leaves: LeafCache, asked: str) -> None:
    """The name of the TLS hello is the one the tunnel was opened for, or there is no handshake."""
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shake_hands(leaves.context_for("a.example"), trusting_all(), asked)


@pytest.mark.parametrize("asked", ["a.example", "A.Example"])
def test_the_same_name_is_met(leaves: LeafCache, asked: str) -> None:
    """The case of letters makes no other name."""
    shake_hands(leaves.context_for("a.example"), trusting_all(), asked)


def test_no_name_in_the_hello_is_for_addresses_only(leaves: LeafCache) -> None:
    """A client of a name says it; a client of an address has none to say (RFC 6066 section 3)."""
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shake_hands(leaves.context_for("a.example"), trusting_all(), None)
    shake_hands(leaves.context_for("127.0.0.1"), trusting_all(), None)


def trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(("h2", "http/1.1"), "http/1.1"), (("http/1.1",), "http/1.1"), (("h2",), "h2"), ((), None)],
)
def test_http_1_1_is_spoken(
    authority: Authority, leaves: LeafCache, offered: tuple[str, ...], chosen: str | None
) -> None:
    """Of what a client offers HTTP/1.1 is chosen, and HTTP/2 where there is nothing else."""
    client, server = shake_hands(
        leaves.context_for("a.example"), client_context(authority, *offered), "a.example"
    )
    assert chosen == client.selected_alpn_protocol() == server.selected_alpn_protocol()


def test_old_tls_is_refused(leaves: LeafCache) -> None:
    """Below TLS 1.2 there is no handshake."""
    assert ssl.TLSVersion.TLSv1_2 == leaves.context_for("a.example").minimum_version


@pytest.fixture
def minted(authority: Authority, leaves: LeafCache) -> Callable[[str], x509.Certificate]:
    def mint(host: str) -> x509.Certificate:
        name = None if host[0].isdigit() or ":" in host else host
        client, _ = shake_hands(leaves.context_for(host), trusting_all(), name)
        der = client.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)

    return mint


@pytest.mark.parametrize("host", HOSTS)
def test_a_leaf_has_what_strict_clients_ask_for(
    authority: Authority, minted: Callable[[str], x509.Certificate], host: str
) -> None:
    """Key identifiers, server use, no CA; at most as long as browsers take (398 days)."""
    certificate = minted(host)
    get = certificate.extensions.get_extension_for_class
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert issuer.value.digest == get(x509.AuthorityKeyIdentifier).value.key_identifier
    assert get(x509.SubjectKeyIdentifier).value.digest
    assert not get(x509.BasicConstraints).value.ca
    assert [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH] == list(get(x509.ExtendedKeyUsage).value)
    lives = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lives.days <= 398
    certificate.verify_directly_issued_by(authority.certificate)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl on PATH")
@pytest.mark.parametrize("host", HOSTS)
def test_openssl_verifies_it_strictly(
    tmp_path: Path,
    authority: Authority,
    minted: Callable[[str], x509.Certificate],
    host: str,
) -> None:
    """`openssl verify -x509_strict` takes the chain for this host, and refuses it for another."""
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    leaf = minted(host).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "leaf.pem").write_bytes(leaf)
    option = "-verify_ip" if host[0].isdigit() or ":" in host else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    command += ["-CAfile", "ca.pem", option]
    for asked, verifies in ((host, True), ("9.9.9.9" if option == "-verify_ip" else "b.c", False)):
        done = subprocess.run([*command, asked, "leaf.pem"], cwd=tmp_path, capture_output=True)
        assert verifies == (done.returncode == 0), done.stderr


def test_a_context_is_made_once_a_host(leaves: LeafCache) -> None:
    """Asking again gives the same context; another host has another."""
    assert leaves.context_for("a.example") is leaves.context_for("a.example")
    assert leaves.context_for("a.example") is not leaves.context_for("b.example")


def test_a_client_that_asks_for_everything_fills_no_memory(leaves: LeafCache) -> None:
    """256 contexts are kept; the one unused for longest goes first."""
    first, second = leaves.context_for("0.example"), leaves.context_for("1.example")
    for number in range(2, 256):
        leaves.context_for(f"{number}.example")
    assert first is leaves.context_for("0.example")  # used again, so no longer the oldest
    leaves.context_for("256.example")
    assert 256 == len(leaves._contexts)
    assert first is leaves.context_for("0.example")
    assert second is not leaves.context_for("1.example")
