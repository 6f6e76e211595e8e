"""The smallest box there is: it runs `true`, and is there to show that one can be made."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moat.core.limits import LimitName, Limits
from moat.errors import MoatError
from moat.runtimes.etc import etc_files
from moat.runtimes.interface import BoxSpec
from moat.runtimes.sandbox.runtime import SandboxRuntime


@dataclass(frozen=True, slots=True)
class Tried:
    """How a box went: `seconds` from its start to its end, and what held each of its limits."""

    seconds: float
    held: Mapping[LimitName, str]


def try_a_box(limits: Limits) -> Tried:
    """Make a box, and run `true` in it. Raises MoatError."""
    with tempfile.TemporaryDirectory(prefix="moat-doctor-") as directory:
        return asyncio.run(_try(_smallest_box(Path(directory).resolve(), limits)))


def _smallest_box(directory: Path, limits: Limits) -> BoxSpec:
    etc, workspace = directory / "etc", directory / "workspace"
    for name, content in etc_files(b"").items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_bytes(content)
    workspace.mkdir()
    environment = {"PATH": "/usr/bin:/bin"}
    return BoxSpec(workspace, ("true",), environment, (), etc, None, limits=limits)


async def _try(spec: BoxSpec) -> Tried:
    began = time.perf_counter()
    box = await SandboxRuntime().create(spec)
    try:
        box.open_gate()
        code = await box.wait()
    finally:
        await box.destroy()
    if code != 0:
        raise MoatError(f"`true` ended with {code} in the box")
    return Tried(time.perf_counter() - began, box.held)
