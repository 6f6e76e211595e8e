"""The path that policy judges is the one a server gets, byte for byte."""

from __future__ import annotations

import pytest

from moat.engine.policy import Policy
from moat.engine.rules import PathRule, host_rule
from moat.engine.session import RunSession
from proxy.support import API, World

LINES = ("deny * /admin/**", "allow GET /v1/**")


@pytest.fixture
def guarded(world: World) -> World:
    """A proxy whose one host has lines about paths."""
    rule = host_rule(API, "settings", paths=tuple(map(PathRule.parse, LINES)))
    world.handed.session = RunSession("0123456789", Policy((rule,)), (), "moat codex")
    return world


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/v1/models?b=%2e%2e/&c=%zz", "/v1/models?b=%2e%2e/&c=%zz"),
        ("/%761/%6dodels", "/v1/models"),
        ("/v1/a%2db%c3%a9", "/v1/a-b%C3%A9"),
        ("/v1/[x]|{y}", "/v1/%5Bx%5D%7C%7By%7D"),
    ],
)
def test_a_path_goes_out_in_the_spelling_it_was_judged_in(
    guarded: World, asked: str, sent: str
) -> None:
    """And stands in the trace so."""
    client = guarded.tunnel()
    assert 200 == client.get(asked).status
    (received,) = guarded.server.requests
    assert f"GET {sent} HTTP/1.1" == received.line
    ((entry, _),) = guarded.trace(1)
    assert f"https://{API}{sent}" == entry.url
    assert entry.verdict is not None
    assert f"allow GET /v1/** at {API} (config.yaml)" == entry.verdict.rule_name


@pytest.mark.attack
@pytest.mark.parametrize(
    ("status", "asked"),
    [
        *(
            (400, path)
            for path in ("/v1/../admin", "/v1/%2e%2e/admin", "/v1/..;/admin", "/\\admin")
        ),
        *((400, path) for path in ("/v1/%00", "/v1/%0d%0aX:y", "/v1/%zz", "/v1/..%2fadmin")),
        *(
            (403, path)
            for path in ("/v1//admin", "/v1/a%2fb", "/v1/a;b", "/v1/%252e", "/v1/%c0%af")
        ),
        *((403, path) for path in ("/admin", "/ADMIN/", "/%61dmin", "/V1/models", "/")),
    ],
)
def test_what_could_be_read_as_something_else_goes_nowhere(
    guarded: World, status: int, asked: str
) -> None:
    """Refused readably and recorded; no server hears of it."""
    client = guarded.tunnel()
    answer = client.get(asked)
    assert status == answer.status
    assert answer.problem["detail"].startswith("Moat refused ")
    assert guarded.untouched()
    ((entry, _),) = guarded.trace(1)
    assert ("refused", status) == (entry.outcome, entry.status)


@pytest.mark.parametrize("path", ["/@scope%2Fname", "/a//b;c/%252F", "/a%2Fb", "/%FF"])
def test_what_servers_read_in_two_ways_passes_where_nothing_reads_it(
    world: World, path: str
) -> None:
    """Clients send such paths, and a host that is allowed is allowed as a whole."""
    client = world.tunnel()
    assert 200 == client.get(path).status
    assert f"GET {path} HTTP/1.1" == world.server.requests[0].line


def test_a_refusal_is_text_for_a_client_that_asks_for_it(guarded: World) -> None:
    """And JSON for one that takes anything, over the same connection."""
    client = guarded.tunnel()
    answer = client.get("/admin/x", more="Accept: text/html;q=0.2\r\nAccept: text/plain\r\n")
    assert (403, ["text/plain; charset=utf-8"]) == (answer.status, answer.all("content-type"))
    first, *others = answer.body.decode().splitlines()
    assert first.startswith(f"Moat refused GET https://{API}/admin/x: ")
    assert f"allow: moat allow {API} GET /admin/x --run 0123456789" in others
    answer = client.get("/admin/x", more="Accept: */*\r\n")
    assert ["application/problem+json"] == answer.all("content-type")
    assert f"deny * /admin/** at {API} (config.yaml)" == answer.problem["rule"]
