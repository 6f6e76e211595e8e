"""The answers Moat gives itself, in the form of RFC 9457 (problem details)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from moat.core.hosts import HostPattern
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
    if destination == replace(destination, scheme="http", port=443):
        allow = None  # nothing would
        cure = "Ask with https."
    else:
        # The pattern of the destination, as it is written: 443 goes without saying, 80 does not.
        pattern = HostPattern(destination.host, destination.port)
        allow = f"{session.command} --allow-host {pattern}"
        cure = f"To allow it, start the run with: {allow}"
    return Problem(
        status=403,
        kind="refused-by-policy",
        detail=f"Moat refused {request.method} {destination}: {verdict.reason}. {cure}",
        members=(
            ("run", session.run),
            ("host", destination.host),
            ("port", destination.port),
            ("rule", verdict.rule_name),
            ("nearest_rule", str(verdict.nearest) if verdict.nearest else None),
            ("allow", allow),
        ),
    )
