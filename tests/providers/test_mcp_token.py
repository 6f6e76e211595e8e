"""A token of an MCP server goes to the server it was granted for, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from moat.config.settings import Upstream
from moat.core.hosts import Destination
from moat.errors import GrantError, MoatError, UsageError
from moat.providers.interface import CredentialProvider, Granted, GrantIO
from moat.providers.mcp import provider_for
from moat.run.injections import injections_of

URL = "https://mcp.linear.app/mcp?x=1"


def grant(environ: Mapping[str, str] | None = None, ask: Any = None, **options: str) -> Granted:
    io = GrantIO(environ or {}, Upstream(), ask, options={"url": URL} | options)
    return provider_for("linear").grant(io)


def test_it_is_a_provider() -> None:
    """By the protocol, under a name of its own."""
    provider = provider_for("linear")
    assert isinstance(provider, CredentialProvider)
    assert ("mcp:linear", "MCP_LINEAR_TOKEN") == (provider.grant_ref, provider.variable)
    assert "MCP_A_B_TOKEN" == provider_for("a-b").variable


def test_the_environment_comes_first() -> None:
    """Then a prompt; surrounding space is nobody's token."""
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return " typed\n"

    granted = grant({"MCP_LINEAR_TOKEN": " tok \n"}, ask)
    assert ("tok", "$MCP_LINEAR_TOKEN", []) == (
        granted.credential.secret.reveal(),
        granted.source,
        asked,
    )
    assert "typed" == grant({"MCP_LINEAR_TOKEN": " "}, ask).credential.secret.reveal()
    assert 1 == len(asked)


def test_where_it_goes_is_kept_with_it() -> None:
    """One origin, one header; the path plays no part."""
    credential = grant({"MCP_LINEAR_TOKEN": "tok"}, header="X-Key").credential
    assert {"origin": "https://mcp.linear.app", "header": "X-Key"} == credential.metadata
    (injection,) = injections_of([provider_for("linear")], {"mcp:linear": credential.facts})
    assert ("mcp:linear", "X-Key", "{}") == (injection.grant, injection.header, injection.format)
    assert injection.applies_to(Destination.parse("https", "mcp.linear.app"))
    for other in ("linear.app", "mcp.linear.app:8443", "evil.example"):
        assert not injection.applies_to(Destination.parse("https", other))
    assert not injection.applies_to(Destination.parse("http", "mcp.linear.app:443"))


def test_authorization_is_a_bearer_token() -> None:
    """As the protocol has it, unless another header is named; a client's own login goes out."""
    facts = grant({"MCP_LINEAR_TOKEN": "tok"}).credential.facts
    (injection,) = injections_of([provider_for("linear")], {"mcp:linear": facts})
    assert ("Authorization", "Bearer {}") == (injection.header, injection.format)
    assert {"Authorization", "Cookie"} == set(injection.strips)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"url": ""}, "which server"),
        ({"url": "http://mcp.linear.app/"}, "is not https"),
        ({"url": "mcp.linear.app"}, "is not https"),
        ({"url": "https://u:p@mcp.linear.app/"}, "--url"),
        ({"url": "https:///mcp"}, "--url"),
        ({"header": "Host"}, "no header"),
        ({"header": "Content-Length"}, "no header"),
        ({"header": "X Key"}, "no header"),
        ({"header": "X:\r\nY"}, "no header"),
    ],
)
def test_a_place_that_is_none_is_refused(options: dict[str, str], reason: str) -> None:
    """Before a token is asked for."""

    def ask(_: str) -> str:
        raise AssertionError

    with pytest.raises(UsageError, match=reason):
        grant({}, ask, **options)


@pytest.mark.parametrize("token", ["", "   ", "a\nb", "a\r\nX: y", "é", "\x00"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    """And not shown."""
    with pytest.raises(GrantError, match="no token"):
        grant({}, lambda _: token)


def test_without_anybody_to_ask_the_variable_is_named() -> None:
    """Without a terminal there is no prompt."""
    with pytest.raises(GrantError) as caught:
        grant({})
    assert "MCP_LINEAR_TOKEN" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "A", "a:b", "../x", "a b", "-a", "a" * 65])
def test_a_server_has_a_plain_name(name: str) -> None:
    """It becomes part of a file's name."""
    with pytest.raises(MoatError, match=r"is no grant"):
        provider_for(name)
