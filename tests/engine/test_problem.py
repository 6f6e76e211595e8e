"""The answers Moat gives itself."""

from __future__ import annotations

import json

import pytest

from engine.play import ask, session
from moat.core.hosts import HostPattern
from moat.engine.problem import Problem, refused_by_policy


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("evil.example", "https://evil.example/x"),
        ("evil.example:8443", "https://evil.example:8443/"),
        ("evil.example:80", "http://evil.example/"),
        ("[::1]", "https://[::1]/"),
        ("[::1]:80", "http://[::1]/"),
    ],
)
def test_a_refusal_names_host_rule_and_cure(option: str, url: str) -> None:
    """The command it names allows exactly what was refused."""
    run, request = session(allow=("evil.example:1",)), ask(url)
    problem = refused_by_policy(request, run.policy.decide(request), run)
    document = json.loads(problem.body())
    assert document["status"] == problem.status == 403
    assert document["type"] == "urn:moat:problem:refused-by-policy"
    assert document["title"] == "refused by policy"
    assert document["host"] == request.destination.host
    assert document["port"] == request.destination.port
    assert document["rule"] == "deny by default"
    assert document["run"] == run.run
    assert document["allow"] == f"moat codex --allow-host {option}"
    assert document["allow"] in document["detail"]
    assert HostPattern.parse(option).matches(request.destination)


def test_what_cannot_be_allowed_names_no_command() -> None:
    """No option allows plain http to port 443, so none is offered."""
    run, request = session(), ask("http://evil.example:443/")
    document = json.loads(refused_by_policy(request, run.policy.decide(request), run).body())
    assert "allow" not in document
    assert "Ask with https." in document["detail"]


def test_a_problem_leaves_out_what_is_not_known() -> None:
    """No member is null, and nothing controls a screen."""
    document = json.loads(Problem(400, "bad", "a\x1b[2J", (("x", None), ("y", 1))).body())
    assert document == {
        "type": "urn:moat:problem:bad",
        "title": "bad",
        "status": 400,
        "detail": "a\\x1b[2J",
        "y": 1,
    }
