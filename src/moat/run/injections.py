"""Where the credentials of a run go, as its providers say it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from moat.core.hosts import Destination, HostPattern
from moat.engine.inject import Injection, Kind
from moat.engine.patterns import PathPattern
from moat.engine.placeholder import Placeholder
from moat.engine.rules import PathRule, Rule
from moat.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from moat.providers.agent import AgentServer
    from moat.providers.interface import CredentialProvider, Where
    from moat.vault.credential import Facts


class Collected:
    """A ProxyConfigurer that keeps what one provider says."""

    def __init__(self, grant: str) -> None:
        self._grant = grant
        self.injections: list[Injection] = []

    def inject(
        self,
        pattern: HostPattern,
        header: str,
        *,
        format: str = "{}",  # the word for it
        strips: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        path: PathPattern | None = None,
    ) -> None:
        """Put the credential into a header of requests to a host."""
        pairs = tuple((headers or {}).items())
        self.injections.append(
            Injection(self._grant, pattern, header, format, strips, pairs, path=path)
        )

    def substitute(
        self,
        pattern: HostPattern,
        where: Where,
        name: str = "",
        *,
        placeholder: str,
        strips: tuple[str, ...] = (),
        path: PathPattern | None = None,
    ) -> None:
        """Put the credential in the place of a placeholder."""
        kinds: dict[Where, Kind] = {"header": "in-header", "query": "in-query", "body": "in-body"}
        injection = Injection(
            self._grant,
            pattern,
            header=name if where == "header" else "",
            strips=strips,
            kind=kinds[where],
            parameter=name if where == "query" else "",
            placeholder=placeholder,
            path=path,
        )
        self.injections.append(injection)

    def strip(
        self, pattern: HostPattern, headers: tuple[str, ...], *, path: PathPattern | None = None
    ) -> None:
        """Take headers out of requests to a host."""
        injection = Injection(self._grant, pattern, strips=headers, kind="strip-headers", path=path)
        self.injections.append(injection)


def injections_of(
    providers: Iterable[CredentialProvider], facts: Mapping[str, Facts]
) -> tuple[Injection, ...]:
    """Every injection of some grants; `facts` by grant."""
    found: list[Injection] = []
    for provider in providers:
        collected = Collected(provider.grant_ref)
        provider.configure_proxy(collected, facts[provider.grant_ref])
        found += collected.injections
    return tuple(found)


def placeholders_of(
    providers: Iterable[CredentialProvider], facts: Mapping[str, Facts]
) -> tuple[Placeholder, ...]:
    """Every placeholder a box can hold for some grants: in variables, and in the settings of an
    agent. Raises UsageError where two grants want the same variable."""
    found: dict[Placeholder, None] = {}
    holders: dict[str, str] = {}
    for provider in providers:
        grant = provider.grant_ref
        for name in provider.container_env(facts[grant]):
            other = holders.setdefault(name, grant)
            if other != grant:
                raise UsageError(
                    f"the variable {name} would hold the placeholders of {other} and of {grant}",
                    hint="leave one of them out, or grant one of them again with another --env",
                )
        for text in provider.placeholders(facts[grant]):
            found[Placeholder(grant, text)] = None
    return tuple(found)


def path_rules(injections: Iterable[Injection]) -> tuple[Rule, ...]:
    """For the hosts of which credentials are for some paths only: that these may be reached."""
    limited = [item for item in injections if item.path is not None]
    patterns = dict.fromkeys(item.pattern for item in limited)
    rules = []
    # The first rule that covers a host decides, so the narrower comes first, and says it all.
    for pattern in sorted(patterns, key=lambda pattern: (pattern.below, -len(pattern.host))):
        paths = dict.fromkeys(
            PathRule("allow", "*", item.path)
            for item in limited
            if item.path is not None and _includes(item.pattern, pattern)
        )
        rules.append(Rule(pattern, "grant", paths=tuple(paths)))
    return tuple(rules)


def _includes(wide: HostPattern, narrow: HostPattern) -> bool:
    below = wide.below and narrow.host.endswith("." + wide.host) and wide.port == narrow.port
    return below or wide == narrow


def check_servers(servers: Iterable[AgentServer], injections: Iterable[Injection]) -> None:
    """Refuse a server whose credential is not meant for it. Raises ConfigError.

    The project says which grant a server needs; where a credential may go was settled by the
    person who granted it.
    """
    for entry in servers:
        server, auth = entry.server, entry.server.auth
        if auth is None:
            continue
        of_grant = [item for item in injections if item.grant == auth.grant]
        destination = destination_of(server.url)
        target = target_of(server.url)
        bound = [item for item in of_grant if item.applies_to(destination, target)]
        if not bound:
            places = ", ".join(sorted({item.bound_to for item in of_grant}))
            raise ConfigError(
                f"MCP server {server.name}: grant {auth.grant} goes to {places}, "
                f"and not to {destination}{target if any(i.path for i in of_grant) else ''}",
                hint="where a credential may go was said when it was granted: moat grant list",
            )
        headers = {item.header.lower() for item in bound}
        if auth.header.lower() not in headers:
            raise ConfigError(
                f"MCP server {server.name}: grant {auth.grant} goes into the header "
                f"{bound[0].header}, and not into {auth.header}",
                hint=f"write header: {bound[0].header}, or grant it again with --header",
            )


def destination_of(url: str) -> Destination:
    """Where a URL leads. Raises ConfigError."""
    scheme, _, rest = url.partition("://")
    try:
        if scheme == "https":
            return Destination.parse("https", rest.partition("/")[0].partition("?")[0])
        if scheme == "http":
            return Destination.parse("http", rest.partition("/")[0].partition("?")[0])
    except ValueError as error:
        raise ConfigError(f"{url}: {error}") from None
    raise ConfigError(f"{url} is no http or https address")


def target_of(url: str) -> str:
    """The path and query of a URL."""
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    return rest[len(authority) :].partition("#")[0] or "/"
