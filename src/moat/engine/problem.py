"""The answers Moat gives itself, in the form of RFC 9457 (problem details) or as plain text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from moat.core.hosts import HostPattern
from moat.core.redact import printable
from moat.engine.accept import prefers_text
from moat.engine.messages import Request
from moat.engine.policy import Verdict
from moat.engine.session import RunSession

TYPE_PREFIX = "urn:moat:problem:"
# Of a path that is repeated to whoever asked for it.
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as the client reads it: HTTP status, kind, what happened, further members.

    What is rendered depends on the client's Accept header, whose value may be empty.
    """

    status: int
    kind: str
    detail: str
    members: tuple[tuple[str, Any], ...] = ()

    def body(self, accept: str = "") -> bytes:
        """The document: JSON, or text for a client that would rather have that."""
        members = {key: value for key, value in self.members if value is not None}
        if prefers_text(accept):
            lines = [self.detail, *(f"{key}: {value}" for key, value in members.items())]
            return "".join(printable(line.replace("\n", "\\n")) + "\n" for line in lines).encode()
        document = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.kind.replace("-", " "),
            "status": self.status,
            "detail": printable(self.detail),
            **members,
        }
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"

    def content_type(self, accept: str = "") -> bytes:
        """The media type of `body` for the same `accept`."""
        if prefers_text(accept):
            return b"text/plain; charset=utf-8"
        return b"application/problem+json"


def refused_by_policy(request: Request, verdict: Verdict, session: RunSession) -> Problem:
    """What a client reads that asked for something no rule allows, or one denies."""
    destination = request.destination
    now, later, cure = _cures(request, verdict, session)
    path = request.target.partition("?")[0]
    if len(path) > _SHOWN:
        path = path[:_SHOWN] + "…"
    reason = verdict.reason
    if verdict.action == "ask":
        reason += ", and it was not allowed when that was asked"
    return Problem(
        status=403,
        kind="refused-by-policy",
        detail=f"Moat refused {request.method} {destination}{path}: {reason}. {cure}",
        members=(
            ("run", session.run),
            ("host", destination.host),
            ("port", destination.port),
            ("method", request.method),
            ("path", path),
            ("rule", verdict.rule_name),
            ("nearest_rule", str(verdict.nearest) if verdict.nearest else None),
            ("allow", now),
            ("allow_next", later),
        ),
    )


def _cures(
    request: Request, verdict: Verdict, session: RunSession
) -> tuple[str | None, str | None, str]:
    """The commands that allow it in this run and in the next, and how that is said."""
    destination = request.destination
    if destination == replace(destination, scheme="http", port=443):
        return None, None, "Ask with https."  # no rule would help
    # The pattern of the destination, as it is written: 443 goes without saying, 80 does not.
    pattern = HostPattern(destination.host, destination.port)
    now = f"moat allow {pattern} --run {session.run}"
    if verdict.rule is not None and verdict.rule.source == "settings":
        # Options do not come before what the person has laid down for every run.
        return now, None, f"To allow it in this run, the person can type: {now}"
    later = f"{session.command} --allow-host {pattern}"
    return now, later, f"To allow it, the person can type: {now}, or for another run: {later}"
