"""Runs a shell script in a box whose workspace is guarded, as the supervisor of a run makes it.

A program of its own, so that it can be run as another user. Takes a JSON object (`home`,
`workspace`, `script`, `allow`, `off`) and prints another (`code`, `out`, `err`, `during`, `notes`).
`off` names a guard that is left out, to show that an attack succeeds without it; `most` is how many
directories are searched for repositories.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from moat.config.paths import Home
from moat.config.settings import Upstream
from moat.core.ids import new_run_id
from moat.run.accounting import Accounting
from moat.run.guarding import git_environment, guarded
from moat.run.plan import Wanted, build_plan
from moat.runtimes.descriptors import read_to_end
from moat.runtimes.etc import etc_files
from moat.runtimes.interface import BoxSpec, Mount
from moat.runtimes.sandbox.runtime import SandboxRuntime
from moat.workspace import repositories


async def run(asked):
    home = Home(Path(asked["home"]))
    wanted = Wanted(
        workspace=Path(asked["workspace"]),
        command=("/bin/sh", "-c", asked["script"]),
        upstream=Upstream(),
        environ={},
        terminal=None,
        command_line="moat run",
        allow_write=tuple(asked.get("allow", ())),
    )
    if common := asked.get("common"):
        wanted = wanted._replace(
            git_directory=Path(common),
            mounts=(Mount(Path(common), common, writable=True, judged=True),),
        )
    plan = build_plan(new_run_id(), wanted)
    etc = home.root / "etc"
    for name, content in etc_files(b"").items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_bytes(content)
    repositories.MOST_DIRECTORIES = asked.get("most", repositories.MOST_DIRECTORIES)
    off = asked.get("off")
    with contextlib.nullcontext() if off == "all" else guarded(plan, home) as found:
        guards = found.guards if found else ()
        if off == "passages":
            guards = tuple(guard for guard in guards if not guard.writable)
        elif off is not None:
            guards = tuple(guard for guard in guards if guard.path != off)
        spec = BoxSpec(
            workspace=plan.workspace,
            command=plan.command,
            environment={**git_environment(guards), **plan.environment},
            mounts=plan.mounts,
            etc=etc,
            terminal=None,
            guards=guards,
        )
        accounting = Accounting(plan, found.stand_ins if found else lambda _: frozenset())
        accounting.complete()
        box = await SandboxRuntime().create(spec)
        try:
            during = sorted(path.name for path in plan.workspace.iterdir())
            box.open_gate()
            box.close_stdin()
            out, err, code = await asyncio.gather(
                read_to_end(box.stdout), read_to_end(box.stderr), box.wait()
            )
        finally:
            await box.destroy()
        changed = await accounting.changes()
        notes = found.notes() if found else ()
    return {
        "code": code,
        "out": out.decode(errors="replace"),
        "err": err.decode(errors="replace"),
        "during": during,
        "notes": list(notes),
        "changes": changed._asdict(),
    }


print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
