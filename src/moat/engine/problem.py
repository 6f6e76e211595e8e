"""The answers Moat gives itself, in the form of RFC 9457 (problem details) or as plain text."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import Any

from moat.core.hosts import Destination, HostPattern
from moat.core.redact import printable
from moat.engine.accept import prefers_text
from moat.engine.messages import Request
from moat.engine.policy import Policy, Verdict
from moat.engine.rules import PathRule, Rule, Source
from moat.engine.session import RunSession

TYPE_PREFIX = "urn:moat:problem:"
# Of a path that is repeated to whoever asked for it.
_SHOWN = 500
# Where rules about paths can be written that hold for other runs as well.
_FILES: dict[Source, str] = {
    "settings": "config.yaml",
    "project": "moat.yaml",
    "file": "the file of --policy",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as the client reads it: HTTP status, kind, what happened, further members.

    What is rendered depends on the client's Accept header, whose value may be empty. `alarm` is
    what trace and audit say of something that no agent does by accident; no client reads it.
    """

    status: int
    kind: str
    detail: str
    members: tuple[tuple[str, Any], ...] = ()
    alarm: str | None = None

    def about(self, run: str, destination: Destination | None) -> Problem:
        """The same, telling of which run it is and where the request was to go."""
        told: dict[str, Any] = {"run": run}
        if destination is not None:
            told |= {"host": destination.host, "port": destination.port}
        return replace(self, members=tuple({**told, **dict(self.members)}.items()))

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
    next_time = _rule_of_the_next_run(session, destination)
    if verdict.rule is not None and verdict.rule.paths and verdict.rule.covers(destination):
        line = _line_for(request, pattern)
        if line is None:
            return now, None, f"No rule about paths can allow it; all of {pattern} would: {now}"
        words = shlex.join((line.method, str(line.path)))
        now = f"moat allow {pattern} {words} --run {session.run}"
        said = f"To allow it in this run, the person can type: {now}"
        if next_time is not None and next_time.source in _FILES:
            said += f", or for others put first at {pattern} in {_FILES[next_time.source]}: {line}"
        return now, None, said
    if next_time is not None and next_time.source == "settings":
        # Options do not come before what the person has laid down for every run.
        return now, None, f"To allow it in this run, the person can type: {now}"
    later = f"{session.command} --allow-host {pattern}"
    return now, later, f"To allow it, the person can type: {now}, or for another run: {later}"


def _rule_of_the_next_run(session: RunSession, destination: Destination) -> Rule | None:
    """The rule that keeps a destination closed, or a part of it, beyond what was said in this run;
    None where none does."""
    rules = (rule for rule in session.policy.rules if rule.source != "live")
    rule = next((rule for rule in rules if rule.covers(destination)), None)
    return rule if rule is not None and (rule.action == "deny" or rule.paths) else None


def _line_for(request: Request, pattern: HostPattern) -> PathRule | None:
    """The line about requests that allows this one and no other path; None where none can."""
    path = request.target.partition("?")[0].replace("*", "%2A")  # it stands for itself
    try:
        line = PathRule.parse(f"allow {request.method} {path}")
    except ValueError:
        return None
    allowed = Policy((Rule(pattern, "live", paths=(line,)),)).decide(request).allowed
    return line if allowed else None
