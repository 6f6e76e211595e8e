"""What `--allow-write` comes to: a path that nothing guards, or not by itself, is a slip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from moat.workspace.guards import Guarding, guard_common, guard_workspace
from moat.workspace.known import Known


def without_effect(
    given: Iterable[str],
    workspace: Path,
    *,
    common: Path | None,
    environ: Mapping[str, str],
    known: Known,
) -> Iterator[str]:
    """What to tell of each path that changes nothing in what is guarded. `common` is the directory
    of a repository that the workspace is a work tree of; `known` as `guard_workspace` takes it."""

    def guarded(*allowed: str) -> frozenset[str]:
        found = _paths(guard_workspace(workspace, allowed=allowed, environ=environ, known=known))
        if common is not None:
            there = _paths(guard_common(common, allowed=allowed, environ=environ))
            found |= {f".git/{path}" for path in there}
        return found

    before: frozenset[str] | None = None
    for path in dict.fromkeys(given):
        before = guarded() if before is None else before
        if guarded(path) == before:
            above = [place for place in before if path.startswith(f"{place}/")]
            why = (
                f"it is guarded together with all of {min(above)}, which can be named instead"
                if above
                else "nothing guards it, so the run may change it anyway"
            )
            yield f"warning: --allow-write {path} changes nothing: {why}"


def _paths(found: Guarding) -> frozenset[str]:
    return frozenset(guard.path for guard in found.guards if not guard.writable)
