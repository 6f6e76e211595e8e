"""Clients of others that speak HTTP/2: curl's (nghttp2) and httpx."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from moat.pki.leaf import LeafCache
from proxy.conftest import Certificates
from proxy.h2_support import H2Server, Heard, Peer, reply, server_context
from proxy.support import API, World

H2World = tuple[World, H2Server]
URL = f"https://{API}/x"


@pytest.fixture
def preferring(certificates: Certificates) -> Iterator[H2World]:
    """A proxy that would rather speak HTTP/2: curl always offers the other as well."""
    server = H2Server(server_context(certificates.world, "h2"))
    leaves = LeafCache(certificates.authority)
    leaves.context_for(API).set_alpn_protocols(["h2", "http/1.1"])
    world = World(certificates.authority, leaves, certificates.upstream, server)
    try:
        yield world, server
    finally:
        world.close()


def curl(world: World, certificates: Certificates, tmp: Path, *arguments: str) -> bytes:
    """What curl prints, which begins with the version it spoke and the status it got."""
    roots = tmp / "roots.pem"
    roots.write_bytes(certificates.authority.pem)
    told = ["--http2", "--cacert", str(roots), "--proxy", f"http://127.0.0.1:{world.port}"]
    found = subprocess.run(
        ["curl", "-sS", "-w", "%{http_version} %{http_code} ", *told, *arguments],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_curl(preferring: H2World, certificates: Certificates, tmp_path: Path) -> None:
    """A body up and a larger one down, twice over one connection; HEAD."""
    said = subprocess.run(["curl", "-V"], capture_output=True, text=True, check=True).stdout
    if "HTTP2" not in said:
        pytest.skip("this curl does not speak HTTP/2")
    world, server = preferring
    body = os.urandom(300_000)
    (tmp_path / "body").write_bytes(body)
    server.respond = echo
    upload = ["--data-binary", f"@{tmp_path / 'body'}", URL, URL]
    assert curl(world, certificates, tmp_path, *upload) == (body * 3 + b"2 200 ") * 2
    head = curl(world, certificates, tmp_path, "-o", "/dev/null", "-I", URL)
    assert head == b"2 200 "
    assert [entry.outcome for entry, _ in world.trace(3)] == ["forwarded"] * 3


def echo(peer: Peer, number: int, heard: Heard) -> None:
    """Answer with three times what was sent; HEAD with nothing."""
    if heard.headers[b":method"] == b"HEAD":
        peer.h2.send_headers(number, [(b":status", b"200")], end_stream=True)
    else:
        reply(peer, number, heard.data * 3)


def test_httpx(h2_world: H2World, certificates: Certificates) -> None:
    """Which speaks HTTP/2 when it is told to speak no other, whatever was agreed on."""
    world, server = h2_world
    server.respond = echo
    roots = ssl.create_default_context(cadata=certificates.authority.pem.decode())
    body = os.urandom(300_000)
    proxy = f"http://127.0.0.1:{world.port}"
    with httpx.Client(http1=False, http2=True, proxy=proxy, verify=roots) as client:
        for _ in range(3):
            answer = client.post(URL, content=body)
            assert ("HTTP/2", 200, body * 3) == (
                answer.http_version,
                answer.status_code,
                answer.content,
            )
    assert len(world.trace(3)) == 3
