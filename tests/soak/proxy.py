"""The proxy of a soak in a process of its own: `python -m tests.soak.proxy PLACE PORT H1 H2`.

It is put together by the steps of a run, and is told what to do by lines of JSON: it says what it
holds, policy is replaced, and faults are planted that the soak has to find.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import dataclasses
import faulthandler
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.soak import places

from moat.config.network import NetworkRule
from moat.config.settings import Upstream
from moat.core.secret import Secret
from moat.engine.exchange import Entry, Measured
from moat.providers.registry import get_provider
from moat.proxy import upstream as upstreams
from moat.proxy.interface import Handed
from moat.proxy.memory import settle_memory
from moat.proxy.server import ProxyServer
from moat.run.advice import Watched
from moat.run.grants import OpenedGrants
from moat.run.plan import Plan, Wanted, build_plan
from moat.run.policy import NetworkWanted
from moat.run.serving import handed_of, traced
from moat.run.tls import LazyTls
from moat.vault.credential import Facts

SILENT_SECONDS = 3
"""How long an upstream may be silent."""
IDLE_SECONDS = 1.0
"""How long connections to upstreams are kept, and how often they are looked through; of half a
minute a short soak would see nothing."""
_ALLOWED = (places.PLAIN, places.ONLY_H2, places.SHUT, places.NOWHERE)


def plan_of(place: Path, ports: tuple[int, int]) -> Plan:
    """The plan of a run that may go to the hosts of a soak; `ports` of its upstreams."""
    import datetime

    h1, h2 = ports
    dial = dict.fromkeys((places.API, places.PLAIN, places.SHUT), h1) | {places.ONLY_H2: h2}
    # Bound to nobody, and so refused at once: the first port there is.
    dial[places.NOWHERE] = 1
    upstream = Upstream(
        ca_file=place / "world.pem",
        connect_to=tuple(((host, 443), ("127.0.0.1", port)) for host, port in dial.items()),
        idle_timeout=SILENT_SECONDS,
    )
    openai = get_provider("openai")
    rules = (NetworkRule(places.DENIED, "deny"), *map(NetworkRule, _ALLOWED))
    return build_plan(
        "soak",
        Wanted(
            workspace=place,
            command=("true",),
            upstream=upstream,
            environ={},
            terminal=None,
            command_line="moat run",
            providers=(openai,),
            facts={openai.grant_ref: Facts("openai", datetime.datetime.now(datetime.UTC))},
            network=NetworkWanted(project_rules=rules),
        ),
    )


class Faulty:
    """A recorder that forgets, repeats itself, and writes secrets down, if it is told to."""

    def __init__(self, inner: Watched) -> None:
        self._inner = inner
        self.faults: set[str] = set()
        self.next_number: Callable[[], int] = lambda: 0
        self._hoard: list[bytes] = []

    def record(self, number: int, entry: Entry, measured: Measured) -> None:
        """See `moat.proxy.interface.Recorder`."""
        if "hoard" in self.faults:
            self._hoard += [bytes(100 + index) for index in range(200)]
        over = entry.outcome != "open"
        if "forget" in self.faults and number % 5 == 0:
            return
        if "open" in self.faults and over and number % 5 == 1:
            return
        self._inner.record(number, entry, measured)
        if "repeat" in self.faults and over and number % 5 == 2:
            self._inner.record(self.next_number(), entry, measured)
        if "tell" in self.faults and over and number % 5 == 3:
            told = base64.b64encode(places.KEY.encode()).decode()
            self._inner.record(number, dataclasses.replace(entry, error=told), measured)


class Control:
    """Does what the lines on standard input say, and answers each with one."""

    def __init__(self, handed: Handed, server: ProxyServer, recorder: Faulty) -> None:
        self.ended = asyncio.Event()
        self._handed = handed
        self._server = server
        self._recorder = recorder
        self._policy = handed.session.policy
        self._kept: list[Any] = []
        recorder.next_number = handed.next_number
        self._mallinfo = ctypes.CDLL(None).mallinfo2
        self._mallinfo.restype = _Mallinfo
        self._buffer = b""
        os.set_blocking(0, False)
        asyncio.get_running_loop().add_reader(0, self._read)

    def _read(self) -> None:
        data = os.read(0, 65536)
        if not data:  # whoever started us is gone
            self.ended.set()
            asyncio.get_running_loop().remove_reader(0)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            word, *rest = line.decode().split()
            answer = getattr(self, word)(*rest)
            print(json.dumps(answer), flush=True)

    def look(self) -> dict[str, Any]:
        """What the process holds just now."""
        gc.collect()
        fds = []
        for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
            try:
                fds.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
            except FileNotFoundError:
                pass  # the listing's own
        used = self._mallinfo()
        return {
            "tasks": _tasks(),
            "fds": sorted(name.partition("[")[0] for name in fds),
            "blocks": sys.getallocatedblocks(),
            "malloc": used.uordblks + used.hblkhd,
            "resident": _resident(),
            "live": len(self._handed.live),
            "streams": self._handed.streams,
            "exchanges": self._handed.exchanges,
        }

    def deny(self, host: str) -> None:
        """As `moat deny` does it."""
        from moat.engine.rules import host_rule

        policy = self._policy.with_rule(host_rule(host, "live", "deny"))
        self._replace(policy)

    def allow(self) -> None:
        """The policy of the start."""
        self._replace(self._policy)

    def _replace(self, policy: Any) -> None:
        self._handed.session = dataclasses.replace(self._handed.session, policy=policy)
        self._server.session_changed()

    def plant(self, fault: str) -> None:
        """Put a fault in."""
        if fault == "task":
            self._kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(1e6)))
        elif fault == "descriptor":
            self._kept.append(Path("/dev/null").open())  # noqa: SIM115
        elif fault == "connection":
            ours, theirs = socket.socketpair()
            self._kept.append(theirs)
            loop = asyncio.get_running_loop()
            # Forgotten on purpose.
            asyncio.ensure_future(loop.create_connection(asyncio.Protocol, sock=ours))  # noqa: RUF006
        elif fault == "fault":
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        elif fault == "hang":
            asyncio.get_running_loop().call_soon(lambda: time.sleep(1e6))
        elif fault == "deaf":
            for server in self._server._servers:
                server.close()
        else:
            self._recorder.faults.add(fault)

    def end(self) -> None:
        """Stop serving."""
        self.ended.set()


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _tasks() -> list[str]:
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return sorted([getattr(one, "__qualname__", str(one)) for one in coroutines])


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def serve(place: Path, port: int, ports: tuple[int, int]) -> None:
    """As the supervisor does it, with a box that is only a listener."""
    assert upstreams.IDLE_SECONDS > IDLE_SECONDS
    upstreams.IDLE_SECONDS = IDLE_SECONDS
    plan = plan_of(place, ports)
    grants = OpenedGrants({grant: Secret(places.KEY) for grant in plan.grants})
    directory: Any = SimpleNamespace(trace=place / "ledger" / "trace.db")
    tls = LazyTls(ca=place / "ca", extra_roots=plan.upstream.ca_file)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    with traced(directory, grants) as trace:
        trace.hide((Secret(places.TOKEN),))
        recorder = Faulty(Watched(trace))
        handed = handed_of(plan, grants, recorder, tls)
        handed.token = Secret(places.TOKEN)
        server = ProxyServer(handed)
        await server.listen(listener)
        await asyncio.to_thread(tls.warm, (places.API, *_ALLOWED, places.DENIED))
        settle_memory()
        control = Control(handed, server, recorder)
        print(json.dumps(control.look()), flush=True)
        await control.ended.wait()
        await server.close()
    print(json.dumps(_tasks()), flush=True)


def main(place: str, port: str, h1: str, h2: str) -> None:
    """Serve a port of 127.0.0.1 until told to end."""
    import uvloop

    os.umask(0o077)
    faulthandler.enable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(place), int(port), (int(h1), int(h2))))


if __name__ == "__main__":
    main(*sys.argv[1:])
