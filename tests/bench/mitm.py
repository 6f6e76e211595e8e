"""mitmproxy, as it is when installed, with one addon that swaps a header."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from tests.bench import traffic

_WANTED = "mitmproxy>=11,<13"
_ADDON = Path(__file__).parent / "mitm_addon.py"


def find(cache: Path) -> str | None:
    """The program, in an environment of its own, which is made once; None where it cannot be."""
    place = cache / "mitmproxy"
    program = place / "bin" / "mitmdump"
    if not program.exists():
        print("installing mitmproxy below .cache, once …", flush=True)
        try:
            venv.create(place, with_pip=True, clear=True)
            subprocess.run([place / "bin" / "pip", "install", "-q", _WANTED], check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    return str(program)


def version(program: str) -> str:
    """What it calls itself."""
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return said.stdout.partition("\n")[0].rpartition(" ")[2]


def command(program: str, place: Path, port: int, *, roots: Path, authority: bytes) -> list[str]:
    """How it is started, on a port, with its files in `place` and a CA that is made already.

    `authority` holds the key and the certificate of the CA as PEM: left alone, mitmproxy makes
    RSA keys, which cost more.
    """
    place.mkdir()
    (place / "mitmproxy-ca.pem").write_bytes(authority)
    options = {
        "confdir": place,
        "listen_host": "127.0.0.1",
        "listen_port": port,
        "ssl_verify_upstream_trusted_ca": roots,
    }
    settings = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    return [program, "-q", "-s", str(_ADDON), *settings]


def variables(upstream_port: int) -> dict[str, str]:
    """What its addon is told."""
    return {"BENCH_KEY": traffic.KEY, "BENCH_UPSTREAM": str(upstream_port)}
