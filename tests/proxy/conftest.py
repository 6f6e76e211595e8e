"""A running proxy for each test; the certificate authorities are made once."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from moat.pki.ca import Authority, ensure_authority
from moat.pki.leaf import LeafCache
from proxy.h2_support import H2Server, server_context
from proxy.support import API, Server, World


@dataclass(frozen=True)
class Certificates:
    """Moat's authority and the world's, which know nothing of each other."""

    authority: Authority
    leaves: LeafCache
    world: Authority
    upstream: ssl.SSLContext
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once: keys take a while."""
    authority = ensure_authority(tmp_path_factory.mktemp("ca") / "moat")
    world = ensure_authority(tmp_path_factory.mktemp("ca") / "world")
    upstream = ssl.create_default_context(cadata=world.pem.decode())
    upstream.set_alpn_protocols(["http/1.1"])
    leaves = LeafCache(world)
    by_name = leaves.context_for(API)

    def choose(sock: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> int | None:
        sock.context = leaves.context_for(name or "127.0.0.1")
        return None

    by_name.sni_callback = choose
    return Certificates(authority, LeafCache(authority), world, upstream, by_name)


@pytest.fixture
def world(certificates: Certificates) -> Iterator[World]:
    """A proxy in front of a TLS server and a plain one."""
    server = Server(certificates.server)
    world = World(certificates.authority, certificates.leaves, certificates.upstream, server)
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def h2_world(certificates: Certificates) -> Iterator[tuple[World, H2Server]]:
    """A proxy in front of a server that speaks nothing but HTTP/2."""
    server = H2Server(server_context(certificates.world, "h2"))
    world = World(certificates.authority, certificates.leaves, certificates.upstream, server)
    try:
        yield world, server
    finally:
        world.close()
