"""What Moat says itself when there is no answer to pass on."""

from __future__ import annotations

from moat.engine.messages import Response
from moat.engine.problem import Problem
from moat.proxy.h1 import render_response
from moat.proxy.wire import Wire

GONE = Problem(status=499, kind="client-gone", detail="the client went away")
ENDED = Problem(status=503, kind="run-ended", detail="the run ended")
BROKEN = Problem(status=500, kind="moat-failed", detail="Moat failed; its log says how")


def write_problem(client: Wire, problem: Problem, *, close: bool, head_only: bool = False) -> None:
    """Answer a client with a problem of our own. Raises WireClosed."""
    body = problem.body()
    response = Response(
        problem.status,
        (
            (b"Content-Type", b"application/problem+json"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Cache-Control", b"no-store"),
        ),
        b"Refused by Moat",
    )
    client.write(render_response(response, close=close) + (b"" if head_only else body))
