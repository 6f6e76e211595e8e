"""Where a credential goes is said by its provider and by who granted it, not by a project."""

from __future__ import annotations

import datetime

import pytest

from moat.config.project import RemoteAuth, RemoteServer
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.errors import ConfigError
from moat.providers.agent import AgentServer
from moat.providers.registry import get_provider
from moat.run.injections import check_servers, injections_of
from moat.vault.credential import Facts

NOW = datetime.datetime.now(datetime.UTC)
LINEAR = Facts("mcp:linear", NOW, metadata={"origin": "https://mcp.linear.app", "header": "X-Key"})
INJECTIONS = (
    Injection("mcp:linear", HostPattern("mcp.linear.app"), "X-Key"),
    Injection("openai", HostPattern("api.openai.com"), "Authorization", "Bearer {}"),
)


def servers(url: str, grant: str, header: str) -> list[AgentServer]:
    return [AgentServer(RemoteServer("linear", url, RemoteAuth(grant, header)))]


def test_a_provider_says_where() -> None:
    """Each grant's own injections, with what its facts say."""
    openai = Facts("openai", NOW, metadata={"organization": "org-1"})
    found = injections_of(
        [get_provider("openai"), get_provider("mcp:linear")],
        {"openai": openai, "mcp:linear": LINEAR},
    )
    assert [
        ("openai", "api.openai.com", "Authorization", (("OpenAI-Organization", "org-1"),)),
        ("mcp:linear", "mcp.linear.app", "X-Key", ()),
    ] == [(item.grant, str(item.pattern), item.header, item.headers) for item in found]


@pytest.mark.parametrize(
    ("url", "grant", "header"),
    [
        ("https://mcp.linear.app/mcp", "mcp:linear", "X-Key"),
        ("https://MCP.linear.app:443/sse?x", "mcp:linear", "x-key"),
        ("https://api.openai.com/v1/mcp", "openai", "Authorization"),
    ],
)
def test_a_server_gets_the_credential_that_is_its(url: str, grant: str, header: str) -> None:
    """By whatever spelling of the same place."""
    check_servers(servers(url, grant, header), INJECTIONS)


@pytest.mark.parametrize(
    ("url", "grant", "header", "reason"),
    [
        ("https://evil.example/mcp", "openai", "Authorization", "goes to https://api.openai.com"),
        ("https://evil.example/mcp", "mcp:linear", "X-Key", "and not to https://evil.example"),
        ("https://mcp.linear.app:8443/mcp", "mcp:linear", "X-Key", "and not to"),
        ("http://mcp.linear.app/mcp", "mcp:linear", "X-Key", "and not to http://"),
        ("https://sub.mcp.linear.app/mcp", "mcp:linear", "X-Key", "and not to"),
        ("https://mcp.linear.app@evil.example/", "mcp:linear", "X-Key", "not a host"),
        ("https://mcp.linear.app/mcp", "mcp:linear", "Authorization", "into the header X-Key"),
        ("ftp://mcp.linear.app/mcp", "mcp:linear", "X-Key", "no http or https"),
    ],
)
def test_a_project_cannot_send_a_credential_elsewhere(
    url: str, grant: str, header: str, reason: str
) -> None:
    """It names a grant; the place was settled before."""
    with pytest.raises(ConfigError, match=reason):
        check_servers(servers(url, grant, header), INJECTIONS)


def test_a_server_without_a_credential_needs_none() -> None:
    """Nothing is put into its requests, so it may be anywhere."""
    check_servers([AgentServer(RemoteServer("any", "http://localhost:9/mcp"))], INJECTIONS)
