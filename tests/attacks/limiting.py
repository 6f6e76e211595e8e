"""One box under limits, watched over as a supervisor does it: run by whoever is to own the box.

Takes a JSON object: `place` (an empty directory), `limits`, `command`, `off` (guards to do
without). Prints one: how it ended, what was said, which limits were met, what held them.
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

from moat.core.limits import Limits
from moat.errors import MoatError
from moat.runtimes.descriptors import read_to_end
from moat.runtimes.etc import etc_files
from moat.runtimes.interface import HOME, BoxSpec
from moat.runtimes.sandbox import argv, limited, watch
from moat.runtimes.sandbox.runtime import SandboxRuntime

P = json.loads(sys.argv[1])

# Whatever a guard that does not hold lets through, the machine is not to suffer from it.
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))

if "cgroup" in P["off"]:
    limited.find_places = lambda wanted: []
if "rlimit" in P["off"]:
    limited.confine = lambda pid, limits, processes: None
    limited.holds_processes_here = lambda: False
if "watch" in P["off"]:
    watch.Judge.judge = lambda self, seen: None
if "size" in P["off"]:
    whole = argv._private_places

    def without_size(spec):
        words = whole(spec)
        while "--size" in words:
            at = words.index("--size")
            del words[at : at + 2]
        return words

    argv._private_places = without_size


def spec():
    place = Path(P["place"])
    for name, content in etc_files(b"").items():
        file = place / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (place / "workspace").mkdir(exist_ok=True)
    return BoxSpec(
        workspace=place / "workspace",
        command=tuple(P["command"]),
        environment={"PATH": "/usr/bin:/bin", "HOME": HOME},
        mounts=(),
        etc=place / "etc",
        terminal=None,
        limits=Limits(**P["limits"]),
        run=P.get("run"),
    )


def throttled(box):
    """How often the kernel has held the box back."""
    group = box._limited._group
    if group is None or "cpu" not in group._leaves:
        return None
    lines = (group._leaves["cpu"] / "cpu.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["nr_throttled"])


def strangers(box):
    """Processes of the box that are not in its group."""
    group = box._limited._group
    if group is None:
        return None
    waiting, found = list(limited._children(box._pid)), []
    while waiting:
        found.append(waiting.pop())
        waiting += limited._children(found[-1])
    doors = [set(map(int, door.read_text().split())) for door in group.doors]
    return [pid for pid in found if not all(pid in door for door in doors)]


async def main():
    box = await SandboxRuntime().create(spec())
    said = {"held": dict(box.held)}
    try:
        print(json.dumps({"up": os.getpid()}), flush=True)
        said["strangers"] = strangers(box)
        box.open_gate()
        box.close_stdin()
        out = asyncio.create_task(read_to_end(box.stdout))
        err = asyncio.create_task(read_to_end(box.stderr))
        ended, met = asyncio.create_task(box.wait()), asyncio.create_task(box.wait_exceeded())
        began = time.monotonic()
        await asyncio.wait({ended, met}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        said["took"] = time.monotonic() - began
        said["code"] = ended.result() if ended.done() else None
        said["throttled"] = throttled(box)
        met.cancel()
    finally:
        await box.destroy()
    told = box.exceeded
    said |= {"exceeded": told and told.limit, "text": told and told.text}
    said["met"] = [each.limit for each in box.met]
    said |= {"out": (await out).decode(), "err": (await err).decode()}
    return said


try:
    answer = asyncio.run(main())
except MoatError as error:
    answer = {"refused": error.message, "hint": error.hint}
print(json.dumps(answer))
