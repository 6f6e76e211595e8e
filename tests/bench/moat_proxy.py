"""Moat's proxy in a process of its own, as a run has it: `python -m tests.bench.moat_proxy …`.

Everything of Moat that the measurements use stands here. The parts are put together by the steps
of a run themselves: policy, injection, recorder, TLS and pool are those a run has.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.bench import traffic

from moat.config.network import NetworkRule
from moat.config.settings import Upstream
from moat.core.secret import Secret
from moat.pki.bundle import ensure_ca_pem
from moat.pki.ca import ensure_authority, private_pem
from moat.providers.codex.constants import OPENAI_API_KEY_PLACEHOLDER
from moat.providers.registry import get_provider
from moat.proxy.memory import settle_memory
from moat.proxy.server import ProxyServer
from moat.run.advice import Watched
from moat.run.grants import OpenedGrants
from moat.run.plan import Plan, Wanted, build_plan
from moat.run.policy import NetworkWanted
from moat.run.serving import handed_of, traced
from moat.run.tls import LazyTls
from moat.vault.credential import Facts

PLACEHOLDER = OPENAI_API_KEY_PLACEHOLDER
"""What a client in the box has in the place of the key."""

# A project's list, among which the host without a credential is one of the last.
_RULES = (
    NetworkRule("uploads.example.com", "deny"),
    NetworkRule("github.com"),
    NetworkRule("*.githubusercontent.com"),
    NetworkRule("codeload.github.com"),
    NetworkRule("docs.example.com"),
    NetworkRule("*.internal.example.com"),
    NetworkRule("mcp.example.com:8443"),
    NetworkRule(traffic.PLAIN),
    NetworkRule("status.example.com"),
)


def roots(place: Path) -> Path:
    """The certificate of the CA whose leaves its clients meet; `place` as for `main`."""
    file = place / "moat-ca.pem"
    file.write_bytes(ensure_ca_pem(place / "ca"))
    return file


def authority(place: Path) -> bytes:
    """Key and certificate of that CA as PEM: others can meet their clients with the same."""
    ours = ensure_authority(place / "ca")
    return private_pem(ours.key) + ours.pem


def main(place: Path, port: int, upstream_port: int, upstream_roots: Path) -> None:
    """Serve a port of 127.0.0.1 until terminated; `place` holds the CA and the trace."""
    import uvloop

    os.umask(0o077)
    upstream = Upstream(
        ca_file=upstream_roots,
        connect_to=tuple(
            ((host, 443), ("127.0.0.1", upstream_port))
            for host in (traffic.CREDENTIALED, traffic.PLAIN)
        ),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(place, _plan(place, upstream), port))


def _plan(place: Path, upstream: Upstream) -> Plan:
    import datetime

    openai = get_provider("openai")
    return build_plan(
        "bench",
        Wanted(
            workspace=place,
            command=("true",),
            upstream=upstream,
            environ={},
            terminal=None,
            command_line="moat run",
            providers=(openai,),
            facts={openai.grant_ref: Facts("openai", datetime.datetime.now(datetime.UTC))},
            network=NetworkWanted(project_rules=_RULES),
        ),
    )


async def _serve(place: Path, plan: Plan, port: int) -> None:
    """As the supervisor does it, with a box that is only a listener."""
    grants = OpenedGrants({grant: Secret(traffic.KEY) for grant in plan.grants})
    directory: Any = SimpleNamespace(trace=place / "trace.db")
    tls = LazyTls(ca=place / "ca", extra_roots=plan.upstream.ca_file)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    with traced(directory, grants) as trace:
        server = ProxyServer(handed_of(plan, grants, Watched(trace), tls))
        await server.listen(listener)
        settle_memory()
        hosts = sorted({item.pattern.host for item in plan.injections})
        await asyncio.get_running_loop().run_in_executor(None, tls.warm, hosts)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
