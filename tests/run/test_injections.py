"""Where a credential goes is said by its provider and by who granted it, not by a project."""

from __future__ import annotations

import datetime

import pytest

from moat.config.project import RemoteAuth, RemoteServer
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.engine.patterns import PathPattern
from moat.engine.placeholder import Placeholder
from moat.errors import ConfigError, UsageError
from moat.providers.agent import AgentServer
from moat.providers.codex import OPENAI_API_KEY_PLACEHOLDER
from moat.providers.placeholder import placeholder_of
from moat.providers.registry import get_provider
from moat.run.injections import Collected, check_servers, injections_of, path_rules, placeholders_of
from moat.vault.credential import Facts

NOW = datetime.datetime.now(datetime.UTC)
LINEAR = Facts("mcp:linear", NOW, metadata={"origin": "https://mcp.linear.app", "header": "X-Key"})
INJECTIONS = (
    Injection("mcp:linear", HostPattern("mcp.linear.app"), "X-Key"),
    Injection("openai", HostPattern("api.openai.com"), "Authorization", "Bearer {}"),
    Injection("header:mine", HostPattern("x.example"), "X", path=PathPattern.parse("/mcp/**")),
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
        ("https://x.example/mcp/y?z#w", "header:mine", "X"),
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
        ("https://x.example/other", "header:mine", "X", r"mcp/\*\*, and not to .*/other"),
        ("https://x.example?/mcp/x", "header:mine", "X", "and not to"),
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


def test_every_kind_can_be_said() -> None:
    """What a provider tells the proxy becomes injections of its grant."""
    pattern, path = HostPattern("x.example"), PathPattern.parse("/v1/**")
    proxy = Collected("mine")
    proxy.inject(pattern, "X", format="t {}", strips=("Y",), headers={"Z": "1"}, path=path)
    proxy.substitute(pattern, "header", "H", placeholder="moat-proxy-injected", strips=("Y",))
    proxy.substitute(pattern, "query", "q", placeholder="moat-proxy-injected", path=path)
    proxy.substitute(pattern, "body", placeholder="moat-proxy-injected")
    proxy.strip(pattern, ("A", "B"), path=path)
    mark = {"placeholder": "moat-proxy-injected"}
    assert [
        Injection("mine", pattern, "X", "t {}", ("Y",), (("Z", "1"),), path=path),
        Injection("mine", pattern, "H", strips=("Y",), kind="in-header", **mark),
        Injection("mine", pattern, kind="in-query", parameter="q", path=path, **mark),
        Injection("mine", pattern, kind="in-body", **mark),
        Injection("mine", pattern, strips=("A", "B"), kind="strip-headers", path=path),
    ] == proxy.injections


def mine(name: str, env: str | None = None) -> Facts:
    metadata = {"to": "https://x.example X: {}"} | ({"env": env} if env else {})
    return Facts(f"header:{name}", NOW, metadata=metadata)


def test_every_placeholder_of_a_box_is_known() -> None:
    """Those in variables, and those that stand in the settings of an agent."""
    names = ["openai", "mcp:linear", "header:a", "header:b"]
    facts = {"openai": Facts("openai", NOW), "mcp:linear": LINEAR}
    facts |= {"header:a": mine("a", "A"), "header:b": mine("b")}
    found = placeholders_of(map(get_provider, names), facts)
    assert {
        Placeholder("openai", OPENAI_API_KEY_PLACEHOLDER),
        *(Placeholder(name, placeholder_of(name)) for name in names),
    } == set(found)
    assert len(found) == len(set(found))
    assert () == placeholders_of([], {})


def test_a_variable_holds_one_placeholder() -> None:
    """The grants are named, and what to do."""
    facts = {"header:a": mine("a", "TOKEN"), "header:b": mine("b", "TOKEN")}
    with pytest.raises(UsageError, match=r"TOKEN would hold .* header:a and of header:b") as caught:
        placeholders_of(map(get_provider, facts), facts)
    assert "--env" in str(caught.value.hint)
    facts["header:b"] = mine("b", "OTHER")
    placeholders_of(map(get_provider, facts), facts)


def limited(pattern: str, path: str | None) -> Injection:
    parsed = PathPattern.parse(path) if path else None
    return Injection("mine", HostPattern.parse(pattern), "X", path=parsed)


def test_a_grant_for_some_paths_lets_these_be_reached() -> None:
    """And no others of its host, where the rest is denied; the narrower host comes first, with
    what is said of the wider."""
    injections = [
        limited("*.example.com", "/v1/**"),
        limited("a.example.com", "/mine"),
        limited("a.example.com:8443", "/port"),
        limited("a.example.com", "/mine"),
        limited("b.example.com", None),
    ]
    assert [
        "a.example.com: allow * /v1/**, allow * /mine (a grant is bound to it)",
        "a.example.com:8443: allow * /port (a grant is bound to it)",
        "*.example.com: allow * /v1/** (a grant is bound to it)",
    ] == [str(rule) for rule in path_rules(injections)]
    assert () == path_rules(injections[-1:])
