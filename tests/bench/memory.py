"""How much memory a proxy takes, idle and with many tunnels open."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.load import Target, ask_on, connected
from tests.bench.measure import Pace, environment, moat
from tests.bench.process import resident
from tests.bench.report import Goal, Result, Row, Table
from tests.bench.start import grant_key
from tests.bench.targets import MOAT, Field

TUNNELS = 500
_MIB = 1 << 20
_A_RUN = "Moat, a whole run"


def memory(field: Field, pace: Pace) -> Result:
    """After one request: idle; and with TUNNELS connections on which nothing moves."""
    rows: list[Row] = []
    for target in field.one_each():
        if target.pid is not None:
            idle, full = _idle(target, target.pid), _full(target, target.pid)
            rows.append((target.name, [idle / _MIB, full / _MIB, (full - idle) / TUNNELS / 1024]))
    if any(name == MOAT for name, _ in rows):
        rows.append((_A_RUN, [_supervisor() / _MIB, None, None]))
    columns = ("idle MiB", f"{TUNNELS} tunnels MiB", "KiB/tunnel")
    idle_of = {name: values[0] for name, values in rows}
    goals = [
        Goal("idle memory of the proxy", idle_of.get(MOAT), 60, " MiB"),
        Goal("idle memory of a whole run's supervisor", idle_of.get(_A_RUN), 60, " MiB"),
    ]
    return Result([Table("Memory", columns, tuple(rows), digits=1)], goals)


def _idle(target: Target, pid: int) -> int:
    with connected(target, 1) as clients:
        ask_on(target, clients, 0)
    time.sleep(1)
    return resident(pid)


def _full(target: Target, pid: int) -> int:
    with connected(target, TUNNELS) as clients:
        for client in clients:
            ask_on(target, [client], 0, settle=0)
        time.sleep(1)
        return resident(pid)


def _supervisor() -> int:
    """The process that is all of a run on the host's side, one with a credential."""
    with tempfile.TemporaryDirectory() as directory:
        home, workspace = Path(directory, "home"), Path(directory, "workspace")
        home.mkdir(mode=0o700)
        workspace.mkdir()
        grant_key(home)
        command = moat("run", "--grant", "openai", "--", "sh", "-c", "echo ready; read line")
        with subprocess.Popen(
            command,
            cwd=workspace,
            env=environment(str(home)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client:
            assert client.stdout is not None
            if client.stdout.readline() != b"ready\n":
                raise RuntimeError("moat run does not start")
            time.sleep(1)
            children = Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text().split()
            taken = resident(int(children[0]))
            client.communicate(b"\n")
        return taken
