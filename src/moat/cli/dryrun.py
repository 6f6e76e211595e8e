"""A plan, shown and not carried out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from moat.cli.output import show_json
from moat.core.limits import OPTIONS, limit_text
from moat.core.redact import printable
from moat.run.plan import Plan
from moat.runtimes.interface import HOME, WORKSPACE
from moat.version import __version__

# What becomes of a request that no rule is about.
DEFAULTS = {"strict": "deny", "ask": "ask", "permissive": "allow"}


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan as data; of the environment the names alone, as the person may have put keys there."""
    return {
        "name": plan.name,
        "agent": plan.agent,
        "runtime": "sandbox",
        "command": list(plan.command),
        "workspace": {"source": str(plan.workspace), "target": WORKSPACE},
        "read_only_in_workspace": list(plan.protected),
        "allow_write": list(plan.allow_write),
        "mounts": [
            {"source": str(mount.source), "target": mount.target, "writable": mount.writable}
            for mount in plan.mounts
        ],
        "kept": [
            {"source": str(kept.source), "target": f"{HOME}/{kept.target}"} for kept in plan.kept
        ],
        "files": [
            {
                "path": f"{HOME}/.{folder}/{file.name}",
                "mode": f"{file.mode:04o}",
                "content": file.content.decode(errors="replace"),
            }
            for folder, files in plan.staged.items()
            for file in files
        ],
        "workspace_files": [".mcp.json"] if plan.mcp_json is not None else [],
        "environment": sorted(plan.environment),
        "grants": list(plan.grants),
        "policy": {
            "mode": plan.policy.mode,
            "default": DEFAULTS[plan.policy.mode],
            "rules": [str(rule) for rule in plan.policy.rules],
        },
        "limits": {word: getattr(plan.limits, name) for word, name in OPTIONS.items()},
        "injections": [
            {
                "destination": item.bound_to,
                "kind": item.kind,
                "header": item.header or None,
                "parameter": item.parameter or None,
                "grant": item.grant,
                "headers": [name for name, _ in item.headers],
            }
            for item in plan.injections
        ],
        "versions": {"moat": __version__, **plan.versions},
    }


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Print it, for a program or for a person."""
    document = plan_document(plan)
    if as_json:
        show_json(document)
        return
    for line in _lines(document):
        print(printable(line.replace("\n", "\\n")))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    if document["name"]:
        yield f"name         {document['name']}"
    yield f"runtime      {document['runtime']}"
    yield f"command      {shlex.join(document['command'])}"
    workspace = document["workspace"]
    yield f"workspace    {workspace['source']} -> {workspace['target']}"
    for name in document["read_only_in_workspace"]:
        yield f"             {name} is read-only"
    for name in document["allow_write"]:
        yield f"             {name} can be changed, though programs of this machine obey it"
    for mount in document["mounts"]:
        mode = "rw" if mount["writable"] else "ro"
        yield f"mount        {mount['source']} -> {mount['target']} ({mode})"
    for kept in document["kept"]:
        yield f"kept         {kept['source']} -> {kept['target']}"
    for name in document["workspace_files"]:
        yield f"written      {WORKSPACE}/{name}"
    yield f"environment  {' '.join(document['environment'])}"
    yield f"grants       {' '.join(document['grants']) or '-'}"
    policy = document["policy"]
    yield f"policy       {policy['mode']}: {policy['default']} by default"
    for rule in policy["rules"]:
        yield f"             {rule}"
    limits = (f"{word} {limit_text(OPTIONS[word], n)}" for word, n in document["limits"].items())
    yield f"limits       {', '.join(limits)}"
    for item in document["injections"]:
        place = item["header"] or item["parameter"] or item["kind"]
        names = ", ".join((place, *item["headers"]))
        yield f"injection    {item['grant']} -> {item['destination']} ({names})"
    for name, version in document["versions"].items():
        yield f"version      {name} {version}"
    for file in document["files"]:
        yield f"file         {file['path']} ({file['mode']})"
        for line in file["content"].splitlines():
            yield f"             | {line}"
