"""Leaf certificates, minted for one host each and kept in memory."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections import OrderedDict

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from moat.core.hosts import is_address
from moat.pki.ca import Authority, key_usage, private_pem

_DAYS = 90
# A hostile client may ask for any number of names; this many are kept.
_CACHED = 256


class LeafCache:
    """Server-side TLS contexts by host, the least recently used dropped first.

    All leaves share one key: it lives as long as the run, and minting needs no new one.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_pem = private_pem(self._key)
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    def context_for(self, host: str) -> ssl.SSLContext:
        """The TLS context to meet a client with that asked for a canonical host."""
        context = self._contexts.get(host)
        if context is None:
            context = self._make_context(host)
            self._contexts[host] = context
            if len(self._contexts) > _CACHED:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(host)
        return context

    def _make_context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # In this order: HTTP/2 is for those who speak nothing else, as it costs several times more.
        context.set_alpn_protocols(["http/1.1", "h2"])
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0  # clients of one run rarely resume, and each ticket costs
        _load_chain(context, self._mint(host) + self._authority.pem + self._key_pem)

        def same_name(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: object) -> int | None:
            """The name in the TLS hello must be the one the tunnel was opened for."""
            if name is None:
                return None if is_address(host) else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            if name.lower().removesuffix(".") != host:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            return None

        context.sni_callback = same_name
        return context

    def _mint(self, host: str) -> bytes:
        authority = self._authority
        now = datetime.datetime.now(datetime.UTC)
        name: x509.GeneralName = (
            x509.IPAddress(ipaddress.ip_address(host)) if is_address(host) else x509.DNSName(host)
        )
        # RFC 5280 allows 64 characters in a common name; the name that counts is the SAN.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        issuer_id = authority.certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority.certificate.subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id),
                critical=False,
            )
            .sign(authority.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a chain with its key; `ssl` takes only files, so it is given one that is memory."""
    descriptor = os.memfd_create("moat-leaf", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
