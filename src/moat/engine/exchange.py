"""One request and its answer, as a conversation with whoever does the I/O.

`exchange` is a generator. It yields commands and is sent the replies; it never touches a
socket, a clock or a key store itself, so a test plays it line by line and every transport
behaves alike.

    decide ── refused ─────────────────────────────────────► Record ► Refuse
       │ └─ ask ► Ask ── no ───────────────────────────────► Record ► Refuse
       └─ allowed ► Resolve… ► Record ► Forward ► (Inform)… ► Deliver ► Record
                       any of these failing: ► Refuse (while nothing was delivered) ► Record

The laws: policy comes before secrets; nothing is forwarded that was not recorded first; a
secret is put in after the last decision and leaves this generator in one command only; nothing
of an answer to a secret is delivered that did not pass through what takes secrets out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

from moat.core.hosts import HostPattern
from moat.core.secret import Secret
from moat.engine.clean import cleaner_for, prepare_request
from moat.engine.fields import extended, without_folded
from moat.engine.leak import find_in_head, watch, watch_frames
from moat.engine.messages import Request, Response
from moat.engine.policy import ALLOWED_WHEN_ASKED, Verdict, allowed_when_asked
from moat.engine.problem import Problem, refused_by_policy
from moat.engine.session import Bound, RunSession
from moat.engine.transform import Cleaner, Refused, Transform

Outcome = Literal["open", "forwarded", "refused", "failed"]

# RFC 9110 section 9.3.8, and IIS's name for it: the answer is the request, credential and all.
_ECHOING = frozenset({"TRACE", "TRACK"})


@dataclass(slots=True)
class Entry:
    """What the trace holds of one exchange: the request without its secrets, and what became
    of it. `grants` names the credentials that were on the wire; `alarm` says what an agent did
    that none does by accident. It goes on changing: who keeps it, copies it."""

    method: str
    url: str
    verdict: Verdict | None
    outcome: Outcome
    status: int | None = None
    grants: tuple[str, ...] = ()
    error: str | None = None
    alarm: str | None = None


@dataclass(slots=True)
class Measured:
    """What the driver saw of one exchange: seconds since the epoch, bytes of the bodies
    and of an upgraded connection, seconds to the answer's head and to the end, and which HTTP the
    client spoke: "http/1.1" or "h2", None where it did not come to that."""

    started: float
    bytes_up: int = 0
    bytes_down: int = 0
    first_byte: float | None = None
    duration: float | None = None
    protocol: str | None = None


@dataclass(slots=True)
class Ask:
    """Ask the person whether this request may go; the reply is a bool."""

    request: Request
    verdict: Verdict


@dataclass(slots=True)
class Resolve:
    """Ask for the secret of a grant; the reply is a Secret."""

    grant: str


@dataclass(slots=True)
class Forward:
    """Send the request on and wait for the head of the answer; the reply is a Response.

    `local` says that the deciding rule names a local service, so that a private address is
    what was meant. The body goes through `through` on its way; `trailers` says whether what
    stands behind it goes along.
    """

    request: Request
    local: bool = False
    through: tuple[Transform, ...] = ()
    trailers: bool = True


@dataclass(slots=True)
class Inform:
    """Pass a 1xx answer on and wait for the next head; the reply is a Response."""

    response: Response


@dataclass(slots=True)
class Deliver:
    """Pass the answer on to the client, body and all; the reply is None.

    What comes down goes through `cleaner`, and so do trailers; what comes up after a switch of
    protocols through `watching`.
    """

    response: Response
    cleaner: Cleaner | None = None
    watching: Transform | None = None


@dataclass(slots=True)
class Refuse:
    """Answer the client with a problem of our own; the reply is None."""

    problem: Problem


@dataclass(slots=True)
class Record:
    """Write down how far it has come; the reply is None. Later entries replace earlier ones."""

    entry: Entry


Command = Ask | Resolve | Forward | Inform | Deliver | Refuse | Record
Exchange = Generator[Command, Any, None]


class ExchangeFailed(Exception):
    """Thrown into the generator by the driver when a command could not be carried out.

    `sent` says whether the request had gone out, credentials and all, before it failed;
    `delivered` whether the client has got the head of an answer, and no other can be given.
    """

    def __init__(self, problem: Problem, *, sent: bool = False, delivered: bool = False) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.sent = sent
        self.delivered = delivered


def exchange(request: Request, session: RunSession) -> Exchange:
    """Decide, inject, forward, deliver, record: one request from its head to its record."""
    verdict = session.policy.decide(request)
    entry = Entry(request.method, request.url, verdict, "open")
    leak = find_in_head(request, session)
    if leak is not None:
        # Before the policy: its word would name a command that opens the place.
        entry.alarm = leak.alarm
        yield from _refuse(leak.problem(session), entry, "refused", leak.alarm)
        return
    if verdict.action == "ask":
        try:
            if (yield Ask(request, verdict)):
                verdict = entry.verdict = allowed_when_asked(verdict)
        except ExchangeFailed as failure:
            yield from _refuse(failure.problem, entry, "refused", failure.problem.detail)
            return
    if not verdict.allowed:
        problem = refused_by_policy(request, verdict, session)
        yield from _refuse(problem, entry, "refused", verdict.reason)
        return
    bound = session.bound(request.destination, request.target)
    injections = bound.injections
    if injections and request.method.upper() in _ECHOING:
        detail = f"{request.method} would show the credential that goes to {request.destination}"
        problem = Problem(status=405, kind="method-refused", detail=detail)
        yield from _refuse(problem, entry, "refused", detail)
        return
    try:
        secrets = yield from _resolve(session, request)
        outgoing, through = _inject(request, session, bound, secrets)
        if secrets:
            outgoing = prepare_request(outgoing)
        watching = None
        if request.upgrade is not None:
            watching = watch_frames(session, request.destination, request.target)
        if watching is not None:
            # What is compressed cannot be looked into.
            outgoing = outgoing.without_headers(("Sec-WebSocket-Extensions",))
        entry.grants = tuple(sorted({item.grant for item in injections if item.wants(request)}))
        yield Record(entry)
        local = _is_local(request, verdict)
        known = tuple(secrets.values())
        # Some servers take a trailer for a header: what is judged or replaced among those, must
        # not come behind the body; nor, unseen, behind one that is said to be empty.
        trailers = request.body != 0 and not (through or injections or verdict.path is not None)
        response: Response = yield Forward(outgoing, local, through, trailers)
        while not response.is_final:
            response = yield Inform(cleaner_for(response, known)[0])
        entry.status = response.status
        response, cleaner = cleaner_for(response, known) if known else (response, None)
        yield Deliver(response, cleaner, watching)
    except Refused as refused:
        yield from _refuse(refused.problem, entry, "failed", refused.problem.detail)
        return
    except ExchangeFailed as failure:
        if not failure.sent:
            entry.grants = ()
        outcome: Outcome = "failed"
        if failure.problem.alarm is not None:
            outcome, entry.alarm = "refused", failure.problem.alarm
        if failure.delivered:
            entry.outcome, entry.error = outcome, failure.problem.detail
            yield Record(entry)
        else:
            yield from _refuse(failure.problem, entry, outcome, failure.problem.detail)
        return
    entry.outcome = "forwarded"
    yield Record(entry)


def _is_local(request: Request, verdict: Verdict) -> bool:
    """Whether a service of this machine or an address was named by whoever allowed it: then one
    that is not public is what was meant."""
    if verdict.rule is not None:
        return verdict.rule.pattern.is_local_service
    destination = request.destination
    named = HostPattern(destination.host, destination.port)
    return verdict.reason == ALLOWED_WHEN_ASKED and named.is_local_service


def _resolve(session: RunSession, request: Request) -> Generator[Command, Any, dict[str, Secret]]:
    """Every secret that this server has or may have been given: its answer may repeat them."""
    secrets: dict[str, Secret] = {}
    for grant in session.grants_at(request.destination.host):
        secrets[grant] = yield Resolve(grant)
    return secrets


def _inject(
    request: Request, session: RunSession, bound: Bound, secrets: dict[str, Secret]
) -> tuple[Request, tuple[Transform, ...]]:
    """The request as it goes out, and what its body streams through. Raises ExchangeFailed."""
    through: tuple[Transform, ...] = ()
    if request.body != 0:
        watching = watch(session, request.destination, request.target)
        through = () if watching is None else (watching,)
    if not bound.injections:
        return request, through
    try:
        if bound.taken_out is not None:
            return _with_headers(request, bound, secrets), through
        outgoing = request
        for injection in bound.injections:
            outgoing = injection.strip(outgoing)
        for injection in bound.injections:
            if injection.wants(request):
                secret = secrets[injection.grant]
                outgoing = injection.apply(outgoing, secret)
                if injection.changes_body:
                    through = (*through, injection.body_transform(secret, request.headers))
    except ValueError as error:
        problem = Problem(status=502, kind="no-credential", detail=str(error))
        raise ExchangeFailed(problem) from None
    if outgoing.body is None and request.body is not None:
        outgoing = outgoing.without_headers(("Content-Length",))
    return outgoing, through


def _with_headers(request: Request, bound: Bound, secrets: dict[str, Secret]) -> Request:
    """The usual case in one pass: all that goes is cut out, what is set stands behind."""
    assert bound.taken_out is not None
    lines = []
    for injection in bound.injections:
        lines += injection.lines(secrets[injection.grant])
    return request.with_headers(extended(without_folded(request.headers, bound.taken_out), lines))


def _refuse(problem: Problem, entry: Entry, outcome: Outcome, error: str) -> Exchange:
    entry.outcome, entry.error, entry.status = outcome, error, problem.status
    try:
        yield Record(entry)
    except ExchangeFailed as failure:
        problem = failure.problem
    yield Refuse(problem)
