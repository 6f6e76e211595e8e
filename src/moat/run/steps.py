"""The steps of a run: each acquires one thing and gives it back, whatever happens between."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from moat.config.paths import Home
from moat.core.limits import Exceeded
from moat.core.redact import printable
from moat.errors import MoatError
from moat.ledger.events import Events
from moat.ledger.transcript import Transcript
from moat.pki.bundle import ensure_ca_pem
from moat.run.guarding import git_environment
from moat.run.kept import ensure_kept
from moat.run.plan import Plan
from moat.run.record import Kind, RunDirectory, RunRecord, State
from moat.runtimes.etc import etc_files
from moat.runtimes.interface import HOME, BoxSpec, Guard, Mount

if TYPE_CHECKING:
    from moat.runtimes.protocols import Box, Runtime


class Keeper:
    """Keeps the record of a run up to date."""

    def __init__(self, directory: RunDirectory, record: RunRecord) -> None:
        self._directory = directory
        self._began = time.monotonic()
        self.record = record
        self.events = Events(directory.events, record.run)
        self.exit_code: int | None = None
        self.limit: Exceeded | None = None
        self.stopped_by: str | None = None  # the signal that asked it to end
        directory.write(record)
        self.events.add(record.state)

    def set(self, state: State) -> None:
        """Write down a new state."""
        self._become(state)

    def end(self, error: BaseException | None) -> None:
        """Write down how the run ended; being asked to end is not a failure."""
        failed = error is not None and not isinstance(error, asyncio.CancelledError)
        failed = failed and self.limit is None
        met = self.limit
        self._become(
            "failed" if failed else "stopped",
            ended=time.time(),
            duration=time.monotonic() - self._began,
            exit_code=self.exit_code,
            error=printable(str(error)) if failed else met and met.text,
            limit=met and met.limit,
            stopped_by=self.stopped_by,
        )

    def _become(self, state: State, **facts: Any) -> None:
        self.record = self.record.become(state, **facts)
        self._directory.write(self.record)
        self.events.add(state, **facts)


@contextlib.contextmanager
def recorded(directory: RunDirectory, plan: Plan, *, kind: Kind = "run") -> Iterator[Keeper]:
    """The run's directory and record; the lock says to others that the run is alive."""
    lock = directory.create()
    try:
        record = RunRecord(
            run=plan.run,
            state="created",
            created=time.time(),
            workspace=None if kind == "proxy" else str(plan.workspace),
            command=plan.command,
            agent=plan.agent,
            name=plan.name,
            grants=plan.grants,
            versions=dict(plan.versions),
            kind=kind,
            terminal=plan.terminal is not None,
        )
        try:
            keeper = Keeper(directory, record)
        except OSError:
            with contextlib.suppress(OSError):
                directory.remove()  # without a record nobody would ever find it
            raise
        try:
            yield keeper
        except BaseException as error:
            with contextlib.suppress(OSError):  # what went wrong first is what is told
                keeper.end(error)
            raise
        keeper.end(None)
    finally:
        directory.close(lock)


@contextlib.contextmanager
def staged(directory: RunDirectory, plan: Plan, home: Home) -> Iterator[tuple[Mount, ...]]:
    """The files made for the box, as mounts; gone when the run is."""
    stage = directory.stage
    try:
        for name, content in etc_files(ensure_ca_pem(home.ca)).items():
            file = stage / "etc" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o644)  # as /etc is everywhere; closed to others by the run's directory
        mounts = []
        for kept in plan.kept:
            ensure_kept(kept)
            mounts.append(Mount(kept.source, f"{HOME}/{kept.target}", writable=True))
        for name, files in plan.staged.items():
            folder = stage / f"{name}-init"
            folder.mkdir(mode=0o700)
            mounts.append(Mount(folder, f"/moat/{name}-init"))
            for item in files:
                file = folder / item.name
                file.write_bytes(item.content)
                file.chmod(item.mode)
        yield tuple(mounts)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def exported(plan: Plan) -> Iterator[None]:
    """The MCP servers in a file of the workspace, where the project asks for it; it stays."""
    if plan.mcp_json is not None:
        from moat.providers.codex import write_mcp_config

        write_mcp_config(plan.workspace, plan.mcp_json)
    yield


def box_spec(
    directory: RunDirectory,
    plan: Plan,
    mounts: tuple[Mount, ...],
    *,
    umask: int,
    guards: tuple[Guard, ...] = (),
) -> BoxSpec:
    """The box of a plan, with what was staged for it, what of its workspace is `guarded`, and the
    umask of whoever started it."""
    return BoxSpec(
        workspace=plan.workspace,
        command=plan.command,
        environment={**git_environment(guards), **plan.environment},
        mounts=(*plan.mounts, *mounts),
        etc=directory.stage / "etc",
        terminal=plan.terminal,
        umask=umask,
        protected=plan.protected,
        guards=guards,
        limits=plan.limits,
        run=plan.run,
    )


@contextlib.asynccontextmanager
async def boxed(runtime: Runtime, spec: BoxSpec) -> AsyncIterator[Box]:
    """A box, at its gate; destroyed at the end."""
    box = await runtime.create(spec)
    try:
        yield box
    finally:
        await box.destroy()


@contextlib.contextmanager
def transcribed(directory: RunDirectory, plan: Plan) -> Iterator[Transcript]:
    """The transcript of what the box prints."""
    title = printable(shlex.join(plan.command))
    transcript = Transcript(directory.root, terminal=plan.terminal, title=title)
    try:
        yield transcript
    finally:
        transcript.close()


def choose_runtime(name: str = "sandbox") -> Runtime:
    """The runtime of a name. Raises MoatError."""
    if name == "sandbox":
        from moat.runtimes.sandbox.runtime import SandboxRuntime

        return SandboxRuntime()
    raise MoatError(f"there is no runtime {name!r}")
