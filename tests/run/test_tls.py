"""TLS is made ready once, when it is first wanted, whichever thread wants it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from moat.errors import MoatError
from moat.run.tls import LazyTls


def test_nothing_is_made_before_it_is_wanted(tmp_path: Path) -> None:
    """Many runs never open a connection, and pay nothing for it."""
    LazyTls(ca=tmp_path / "ca", extra_roots=tmp_path / "none.pem")
    assert [] == list(tmp_path.iterdir())


def test_all_threads_get_the_same(tmp_path: Path) -> None:
    """The CA is loaded once and a leaf minted once, while others wait for it."""
    tls = LazyTls(ca=tmp_path / "ca", extra_roots=None)
    found: list[int] = []

    def want() -> None:
        found.append(id(tls.context_for("a.example")))
        found.append(id(tls.upstream()))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(tls.context_for("a.example")), id(tls.upstream())} == set(found)


def test_what_was_warmed_is_ready(tmp_path: Path) -> None:
    """Hosts that will be asked for have their leaves before anybody asks."""
    tls = LazyTls(ca=tmp_path / "ca", extra_roots=None)
    tls.warm(["a.example"])
    assert (tmp_path / "ca" / "ca.pem").exists()
    with pytest.raises(MoatError, match=r"none\.pem"):
        LazyTls(ca=tmp_path / "ca", extra_roots=tmp_path / "none.pem").warm(["a.example"])
