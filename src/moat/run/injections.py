"""Where the credentials of a run go, as its providers say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from moat.core.hosts import Destination, HostPattern
from moat.engine.inject import Injection
from moat.errors import ConfigError

if TYPE_CHECKING:
    from moat.providers.agent import AgentServer
    from moat.providers.interface import CredentialProvider
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
    ) -> None:
        """Put the credential into a header of requests to a host."""
        pairs = tuple((headers or {}).items())
        self.injections.append(Injection(self._grant, pattern, header, format, strips, pairs))


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
        bound = [item for item in of_grant if item.applies_to(destination)]
        if not bound:
            places = ", ".join(sorted({f"https://{item.pattern}" for item in of_grant}))
            raise ConfigError(
                f"MCP server {server.name}: grant {auth.grant} goes to {places}, "
                f"and not to {destination}",
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
