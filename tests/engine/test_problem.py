"""The answers Moat gives itself."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from engine.play import ask, session
from moat.core.hosts import Destination, HostPattern
from moat.engine.messages import Request
from moat.engine.policy import Policy, Rule
from moat.engine.problem import Problem, refused_by_policy
from moat.engine.rules import PathRule, host_rule
from moat.engine.session import RunSession

LINES = tuple(map(PathRule.parse, ("allow GET /repos/**", "deny * /admin/**")))


def refusal(request: Request, *rules: Rule, mode: Any = "strict") -> dict[str, Any]:
    """The document of a refusal under some rules."""
    run = RunSession("0123456789", Policy(rules, mode), (), "moat codex")
    problem = refused_by_policy(request, run.policy.decide(request), run)
    document: dict[str, Any] = json.loads(problem.body())
    assert document["status"] == problem.status == 403
    return document


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
    """The commands it names allow exactly what was refused."""
    request = ask(url)
    document = refusal(request, host_rule("evil.example:1", "option"))
    assert document["type"] == "urn:moat:problem:refused-by-policy"
    assert document["title"] == "refused by policy"
    assert document["host"] == request.destination.host
    assert document["port"] == request.destination.port
    assert document["rule"] == "deny by default"
    assert document["run"] == "0123456789"
    assert document["allow"] == f"moat allow {option} --run 0123456789"
    assert document["allow_next"] == f"moat codex --allow-host {option}"
    assert document["allow"] in document["detail"]
    assert document["allow_next"] in document["detail"]
    assert HostPattern.parse(option).matches(request.destination)
    assert Policy((host_rule(option, "live"),)).decide(request).allowed
    assert Policy((host_rule(option, "option"),)).decide(request).allowed


def test_a_refusal_names_what_was_asked_and_what_came_closest() -> None:
    """All of it but the query, which may hold what is nobody's business."""
    document = refusal(
        ask("https://git.example/repos/a%20b?token=x", "DELETE"),
        host_rule("git.example", "project", paths=LINES),
    )
    assert {
        "method": "DELETE",
        "path": "/repos/a%20b",
        "rule": "git.example: allow GET /repos/**, deny * /admin/** (moat.yaml)",
        "nearest_rule": "git.example: allow GET /repos/** (moat.yaml)",
    }.items() <= document.items()
    assert "token" not in json.dumps(document)
    assert "DELETE https://git.example/repos/a%20b: no rule about paths" in document["detail"]


def typed(document: dict[str, Any]) -> list[str]:
    """The command that a refusal names, as a shell takes it apart, without its run."""
    words = shlex.split(document["allow"])
    assert ["--run", "0123456789"] == words[-2:]
    assert document["allow"] in document["detail"]
    return words[:-2]


@pytest.mark.parametrize(
    ("method", "url", "path"),
    [
        ("DELETE", "https://git.example/repos/a%20b?token=x", "/repos/a%20b"),
        ("GET", "https://git.example/", "/"),
        ("HEAD", "https://git.example/x", "/x"),
        ("GET", "https://git.example/a/*/**", "/a/%2A/%2A%2A"),
        ("GET", "https://git.example/$(id)'&x", "/$(id)'&x"),
    ],
)
def test_what_a_line_refused_is_opened_alone(method: str, url: str, path: str) -> None:
    """The command allows this request, and no other of the host."""
    request = ask(url, method)
    rule = host_rule("git.example", "project", paths=LINES[1:])
    document = refusal(request, rule)
    assert ["moat", "allow", "git.example", method, path] == typed(document)
    assert "allow_next" not in document
    assert f"put first at git.example in moat.yaml: allow {method} {path}" in document["detail"]
    line = PathRule.parse(f"allow {method} {path}")
    narrow = Policy((host_rule("git.example", "live", paths=(line,)), rule))
    assert narrow.decide(request).allowed
    assert not narrow.decide(ask("https://git.example/other", method)).allowed


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/a//b", ()),
        ("GET", "/a;b", ()),
        ("get", "/a", ()),
        ("G_T", "/a", ()),
        ("GET", "/" + "x" * 2000, ()),
        ("GET", "/a", ((b"X-HTTP-Method-Override", b"DELETE"),)),
    ],
)
def test_where_no_line_can_allow_it_that_is_said(method: str, target: str, headers: Any) -> None:
    """All of the host is offered then, and not as if it were less."""
    request = Request(method, ask("https://git.example/").destination, target, headers)
    document = refusal(request, host_rule("git.example", "project", paths=LINES))
    assert ["moat", "allow", "git.example"] == typed(document)
    assert "No rule about paths can allow it; all of git.example would: " in document["detail"]


@pytest.mark.parametrize(
    ("source", "where"),
    [("settings", "config.yaml"), ("file", "the file of --policy"), ("grant", None)],
)
def test_a_line_is_written_where_the_others_are(source: Any, where: str | None) -> None:
    """Also where one of this run stands before them."""
    rule = host_rule("git.example", source, paths=LINES)
    for rules in ((rule,), (host_rule("git.example", "live", paths=LINES), rule)):
        detail = refusal(ask("https://git.example/x"), *rules)["detail"]
        assert detail.endswith("--run 0123456789" if where is None else "allow POST /x")
        assert where is None or f"or for others put first at git.example in {where}: " in detail


def test_a_line_that_denied_is_named() -> None:
    """It alone, and not all of its host's."""
    request = ask("https://git.example/admin/x", "GET")
    document = refusal(request, host_rule("git.example", "project", paths=LINES))
    assert document["rule"] == "deny * /admin/** at git.example (moat.yaml)"


def test_options_do_not_undo_what_settings_deny() -> None:
    """So none is offered; a word during the run does."""
    rule = host_rule("evil.example", "settings", "deny")
    document = refusal(ask("https://evil.example/"), rule, host_rule("evil.example", "option"))
    assert document["rule"] == "deny evil.example (config.yaml)"
    assert document["nearest_rule"] == "allow evil.example (--allow-host)"
    assert document["allow"] == "moat allow evil.example --run 0123456789"
    assert "allow_next" not in document
    assert "--allow-host" not in document["detail"]


def test_what_was_asked_in_vain_is_said() -> None:
    """Of a request that was left to the person."""
    document = refusal(ask("https://evil.example/"), mode="ask")
    assert document["rule"] == "ask by default"
    assert "and it was not allowed when that was asked" in document["detail"]


def test_what_cannot_be_allowed_names_no_command() -> None:
    """No option allows plain http to port 443, so none is offered."""
    document = refusal(ask("http://evil.example:443/"))
    assert document.keys().isdisjoint({"allow", "allow_next"})
    assert "Ask with https." in document["detail"]


def test_a_long_path_is_cut() -> None:
    """Whoever sent it knows it."""
    request = ask("https://evil.example/")._replace(target="/" + "x" * 60_000)
    assert len(json.dumps(refusal(request))) < 3000


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


def test_a_problem_is_text_for_those_who_ask_for_it() -> None:
    """The same, a line each; as safe on a screen."""
    problem = Problem(403, "bad", "a\x1b[2J", (("x", None), ("y", 1), ("z", "é\n\r")))
    assert b"application/problem+json" == problem.content_type() == problem.content_type("*/*")
    assert problem.body() == problem.body("*/*")
    assert b"text/plain; charset=utf-8" == problem.content_type("text/plain")
    text = problem.body("text/plain").decode()
    assert ["a\\x1b[2J", "y: 1", "z: é\\n\\x0d", ""] == text.split("\n")


def test_a_refusal_is_read_by_who_has_no_json() -> None:
    """What an agent sees that asks with `curl -H 'Accept: text/plain'`."""
    run, request = session(), ask("https://evil.example/x", "GET")
    text = refused_by_policy(request, run.policy.decide(request), run).body("text/plain").decode()
    first, *others = text.splitlines()
    assert first.startswith("Moat refused GET https://evil.example/x: no rule allows evil.example.")
    assert "allow: moat allow evil.example --run 0123456789" in others
    assert "rule: deny by default" in others


def test_a_problem_tells_of_which_run_it_is() -> None:
    """And where the request was to go, unless it says so itself."""
    told = Problem(502, "bad", "x", (("port", 1),)).about("0123", Destination("https", "h", 443))
    assert {"run": "0123", "host": "h", "port": 1} == dict(told.members)
    assert {"run": "0123"} == dict(Problem(400, "bad", "x").about("0123", None).members)
