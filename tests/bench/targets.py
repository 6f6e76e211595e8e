"""Everything that is compared, started: the server behind, and each proxy before it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import mitm, moat_proxy, nginx, traffic
from tests.bench.load import Target
from tests.bench.process import free_port, started

from standin.certs import make_certificates

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "bench"

DIRECT = "direct"
NGINX = "nginx"
MOAT = "Moat, host with a credential"
MOAT_PLAIN = "Moat, host without"
MITMPROXY = "mitmproxy"
PROXIES = ("nginx", "moat", "mitmproxy")


@dataclass(frozen=True)
class Field:
    """What can be measured, in its order, by name; and why others cannot be."""

    targets: dict[str, Target]
    missing: tuple[str, ...]

    def one_each(self) -> list[Target]:
        """One target a proxy: Moat with the host that has a credential."""
        return [target for target in self.targets.values() if target.name != MOAT_PLAIN]


@dataclass(frozen=True)
class Behind:
    """The server behind the proxies: its port, its certificate with key, and who signed that."""

    port: int
    certificate: Path
    roots: Path


class NotThere(Exception):
    """A proxy that cannot be had on this machine."""


@contextlib.contextmanager
def field(place: Path, wanted: Sequence[str]) -> Iterator[Field]:
    """Start the server and the proxies that are wanted and can be had; `place` is empty."""
    certificates = make_certificates(place / "tls", names=[traffic.CREDENTIALED, traffic.PLAIN])
    behind = Behind(free_port(), certificates.server_file, certificates.ca_file)
    makers = {"nginx": _nginx, "moat": _moat, "mitmproxy": _mitmproxy}
    targets = [Target(DIRECT, behind.port, behind.roots, traffic.CREDENTIALED, traffic.KEY)]
    missing = []
    with contextlib.ExitStack() as stack:
        command = _python("upstream", behind.port, behind.certificate)
        log = place / "upstream.log"
        stack.enter_context(started(command, behind.port, log=log, cwd=ROOT))
        for name in wanted:
            try:
                targets += makers[name](stack, place, behind)
            except NotThere as reason:
                missing.append(str(reason))
        yield Field({target.name: target for target in targets}, tuple(missing))


def _nginx(stack: contextlib.ExitStack, place: Path, behind: Behind) -> list[Target]:
    program = nginx.find(CACHE)
    if program is None:
        raise NotThere("nginx is not installed: skipped")
    port = free_port()
    command = nginx.command(
        program,
        place / "nginx",
        port,
        upstream_port=behind.port,
        certificate=behind.certificate,
        roots=behind.roots,
    )
    pid = stack.enter_context(started(command, port, log=place / "nginx.log", cwd=ROOT))
    return [Target(NGINX, port, behind.roots, traffic.CREDENTIALED, "placeholder", pid)]


def _moat(stack: contextlib.ExitStack, place: Path, behind: Behind) -> list[Target]:
    port, roots = free_port(), moat_proxy.roots(place)
    command = _python("moat_proxy", place, port, behind.port, behind.roots)
    pid = stack.enter_context(started(command, port, log=place / "moat.log", cwd=ROOT))
    keys = {traffic.CREDENTIALED: moat_proxy.PLACEHOLDER, traffic.PLAIN: "of-the-client"}
    return [
        Target(name, port, roots, host, keys[host], pid, tunnel=True)
        for name, host in ((MOAT, traffic.CREDENTIALED), (MOAT_PLAIN, traffic.PLAIN))
    ]


def _mitmproxy(stack: contextlib.ExitStack, place: Path, behind: Behind) -> list[Target]:
    program = mitm.find(CACHE)
    if program is None:
        raise NotThere("mitmproxy cannot be installed: skipped")
    port, roots = free_port(), moat_proxy.roots(place)
    command = mitm.command(
        program,
        place / "mitmproxy",
        port,
        roots=behind.roots,
        authority=moat_proxy.authority(place),
    )
    log, env = place / "mitmproxy.log", mitm.variables(behind.port)
    pid = stack.enter_context(started(command, port, log=log, cwd=ROOT, env=env))
    return [Target(MITMPROXY, port, roots, traffic.CREDENTIALED, "placeholder", pid, tunnel=True)]


def _python(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
