"""What Moat says itself when there is no answer to pass on."""

from __future__ import annotations

from moat.engine.messages import Response, get_all
from moat.engine.problem import Problem
from moat.proxy.h1 import render_response
from moat.proxy.sides import ClientSide
from moat.proxy.token import CHALLENGE
from moat.proxy.wire import Wire

GONE = Problem(status=499, kind="client-gone", detail="the client went away")
ENDED = Problem(status=503, kind="run-ended", detail="the run ended")
CHANGED = Problem(status=403, kind="refused-by-policy", detail="the policy of the run was changed")
BROKEN = Problem(status=500, kind="moat-failed", detail="Moat failed; its log says how")


def answer_problem(client: ClientSide, problem: Problem, run: str) -> None:
    """Answer a request with a problem of our own, as its client wants it. Raises WireClosed."""
    problem = problem.about(run, client.request.destination)
    wanted = b",".join(get_all(client.request.headers, b"accept")).decode("latin-1")
    body = problem.body(wanted)
    response = _head(problem, len(body), wanted)
    if client.request.method == "HEAD":
        client.start(Response(response.status, response.headers, response.reason), end=True)
    else:
        client.start(response, body, end=True)


def write_problem(client: Wire, problem: Problem) -> None:
    """Answer what never became a request; nothing follows it. Raises WireClosed."""
    body = problem.body()
    client.write(render_response(_head(problem, len(body)), close=True) + body)


def _head(problem: Problem, size: int, wanted: str = "") -> Response:
    challenge = (CHALLENGE,) if problem.status == 407 else ()
    return Response(
        problem.status,
        (
            (b"Content-Type", problem.content_type(wanted)),
            (b"Content-Length", b"%d" % size),
            (b"Cache-Control", b"no-store"),
            *challenge,
        ),
        b"Refused by Moat",
        body=size,
    )
