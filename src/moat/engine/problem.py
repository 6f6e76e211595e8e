"""The answers Moat gives itself, in the form of RFC 9457 (problem details)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from moat.core.redact import printable
from moat.engine.messages import Request
from moat.engine.policy import Verdict
from moat.engine.session import RunSession

TYPE_PREFIX = "urn:moat:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as the client reads it: HTTP status, kind, what happened, further members."""

    status: int
    kind: str
    detail: str
    members: tuple[tuple[str, Any], ...] = ()

    def body(self) -> bytes:
        """The JSON document."""
        document = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.kind.replace("-", " "),
            "status": self.status,
            "detail": printable(self.detail),
            **{key: value for key, value in self.members if value is not None},
        }
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def refused_by_policy(request: Request, verdict: Verdict, session: RunSession) -> Problem:
    """What a client reads that asked for something no rule allows."""
    destination = request.destination
    option = destination.authority
    if destination.scheme == "http" and destination.port == 80:
        option = f"{destination.authority}:80"
    allow = f"{session.command} --allow-host {option}"
    return Problem(
        status=403,
        kind="refused-by-policy",
        detail=f"Moat refused {request.method} {destination}: {verdict.reason}. "
        f"To allow it, start the run with: {allow}",
        members=(
            ("run", session.run),
            ("host", destination.host),
            ("port", destination.port),
            ("rule", verdict.rule_name),
            ("nearest_rule", str(verdict.nearest) if verdict.nearest else None),
            ("allow", allow),
        ),
    )
