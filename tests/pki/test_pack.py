"""The trust pack for a process anywhere; what is in a box of it is shown in e2e/test_trust."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest

from moat.pki.java import java_trust_store
from moat.pki.pack import (
    CA_VARIABLES,
    JAVA_OPTIONS,
    TRUST_LINKS,
    TRUST_VARIABLES,
    trust_environment,
    trust_files,
)

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def environment(store: str = "/m/ca.p12", **more: str) -> dict[str, str]:
    return trust_environment(
        "/m/ca.pem", store, host="127.0.0.1", port=8080, not_proxied=("localhost", "::1"), **more
    )


def test_every_tool_is_told_the_same() -> None:
    """One file of certificates, one proxy in both spellings, and the same hosts without it."""
    told = environment()
    assert set(TRUST_VARIABLES) == told.keys()
    assert {"/m/ca.pem"} == {told[name] for name in CA_VARIABLES}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert ["http://127.0.0.1:8080"] * 2 == [told[name], told[name.lower()]]
    assert ["localhost,::1"] * 2 == [told["NO_PROXY"], told["no_proxy"]]
    assert told[JAVA_OPTIONS].endswith("-Dhttp.nonProxyHosts=localhost|[::1]")


def test_a_token_goes_into_the_proxys_address() -> None:
    """In each of them; and nowhere else."""
    token = {name for name, value in environment(token="t0k3n").items() if "t0k3n" in value}
    assert token == {
        name
        for name in TRUST_VARIABLES
        if name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    }
    assert "http://moat:t0k3n@127.0.0.1:8080" == environment(token="t0k3n")["https_proxy"]


def test_every_distribution_finds_the_ca() -> None:
    """In its own place, as a file or a link to it; and no other certificate."""
    files = trust_files(PEM)
    bundle, store = files
    assert (PEM, java_trust_store(PEM)) == (files[bundle], files[store])
    assert {bundle, store} == set(TRUST_LINKS.values())
    for name in ("ssl/cert.pem", "ssl/ca-bundle.pem", "pki/tls/certs/ca-bundle.crt"):
        assert bundle == TRUST_LINKS[name]


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java on this machine")
@pytest.mark.parametrize("path", ["/a/b", "/my home/b", '/it\'s "mine"/b', "/a |$(b)/\\c"])
def test_java_understands_its_options(path: str) -> None:
    """Whatever the path of its store is."""
    told = {"PATH": os.environ["PATH"], JAVA_OPTIONS: environment(path)[JAVA_OPTIONS]}
    command = ["java", "-XshowSettings:properties", "-version"]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    assert f"    javax.net.ssl.trustStore = {path}\n" in done.stderr
    assert "    https.proxyHost = 127.0.0.1\n    https.proxyPort = 8080\n" in done.stderr


class Listener:
    """Stands where the proxy would: notes how it is first asked, and hangs up."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    head = b""
                    while b"\r\n\r\n" not in head and (data := connection.recv(1 << 16)):
                        head += data
                    self.heads.append(head)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener()
    yield running
    running.close()


def ask_with_git(environ: Mapping[str, str]) -> None:
    """Fails, as nobody answers."""
    subprocess.run(
        ["git", "ls-remote", "https://git.example.com/project.git"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ},
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_git_says_at_once_who_it_is(listener: Listener) -> None:
    """As it would not by itself: a proxy that demands to know need not ask for it."""
    told = trust_environment(
        "/nonexistent", "/", host="127.0.0.1", port=listener.port, not_proxied=(), token="t0k3n"
    )
    ask_with_git(told)
    ask_with_git({name: text for name, text in told.items() if name != "GIT_HTTP_PROXY_AUTHMETHOD"})
    said, unsaid = listener.heads
    assert b"\r\nProxy-Authorization: Basic bW9hdDp0MGszbg==\r\n" in said
    assert b"Proxy-Authorization" not in unsaid
