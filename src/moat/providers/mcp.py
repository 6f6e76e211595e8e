"""Credentials of remote MCP servers: any token, bound when it is granted to one server.

Which server a token goes to, and in which header, is said by the person who grants it and by
nobody later: a project's moat.yaml can ask for the grant, but cannot send it elsewhere.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path

from moat.core.hosts import Destination, HostPattern
from moat.core.secret import Secret
from moat.errors import GrantError, UsageError
from moat.providers.fields import (
    PLAIN_NAME,
    check_credential,
    check_header,
    default_format,
    notes_on_length,
)
from moat.providers.interface import Granted, GrantIO, GrantOption, MountConfig, ProxyConfigurer
from moat.providers.placeholder import placeholder_of
from moat.vault.credential import Credential, Facts


def provider_for(name: str) -> Provider:
    """The provider of `mcp:NAME`. Raises UsageError."""
    if not PLAIN_NAME.fullmatch(name):
        raise UsageError(
            f"mcp:{name} is no grant: a server's name has small letters, digits, - and _",
            hint="for example: moat grant mcp:linear --url https://mcp.linear.app/mcp",
        )
    return Provider(name)


class Provider:
    """The token of one remote MCP server."""

    description = "token of a remote MCP server"
    grant_options = (
        GrantOption(
            "url",
            "URL",
            "the server the token is for; it goes nowhere else; the token itself is "
            "taken from MCP_NAME_TOKEN, or asked for",
        ),
        GrantOption("header", "NAME", "the header it goes into (Authorization, as Bearer)"),
    )

    def __init__(self, server: str) -> None:
        self.name = "mcp"
        self.grant_ref = f"mcp:{server}"
        self._server = server

    @property
    def variable(self) -> str:
        """The environment variable a token is taken from."""
        return f"MCP_{self._server.upper().replace('-', '_')}_TOKEN"

    def grant(self, io: GrantIO) -> Granted:
        """Get the token from the environment or the person. Raises GrantError or UsageError.

        It is not validated: what a server takes, only its own protocol says.
        """
        header = io.options.get("header") or "Authorization"
        metadata = {"origin": self._origin(io.options), "header": check_header(header)}
        token, source = self._token(io)
        now = datetime.datetime.now(datetime.UTC)
        return Granted(
            Credential(self.grant_ref, Secret(token), now, metadata=metadata),
            source,
            (
                *(
                    (f"{metadata['origin']} was not asked whether it is good",)
                    if io.validate
                    else ()
                ),
                *notes_on_length(token),
            ),
        )

    def _origin(self, options: Mapping[str, str]) -> str:
        example = f"moat grant {self.grant_ref} --url https://HOST/mcp"
        url = options.get("url")
        if not url:
            raise UsageError("which server is it for?", hint=f"name it: {example}")
        if not url.startswith("https://"):
            raise UsageError(
                f"{url} is not https, and a credential goes over nothing else",
                hint=f"for example: {example}",
            )
        authority = re.split(r"[/?#]", url.removeprefix("https://"), maxsplit=1)[0]
        try:
            return str(Destination.parse("https", authority))
        except ValueError as error:
            raise UsageError(f"--url: {error}", hint=f"for example: {example}") from None

    def _token(self, io: GrantIO) -> tuple[str, str]:
        if given := io.environ.get(self.variable, "").strip():
            source = f"${self.variable}"
        elif io.ask is not None:
            given, source = io.ask(f"Token of {self._server} (not shown): ").strip(), "the prompt"
        else:
            raise GrantError(
                f"there is no token for {self.grant_ref}, and no terminal to ask for one",
                hint=f"put it in the environment: {self.variable}",
            )
        return check_credential(given), source

    def configure_proxy(self, proxy: ProxyConfigurer, facts: Facts) -> None:
        """The token goes to the server it was granted for, in the header said then."""
        origin = Destination.parse("https", facts.metadata["origin"].removeprefix("https://"))
        header = facts.metadata["header"]
        proxy.inject(
            HostPattern(origin.host, origin.port),
            header,
            format=default_format(header),
            strips=("Authorization", "Cookie"),
        )

    def container_env(self, facts: Facts) -> Mapping[str, str]:  # noqa: ARG002  # as the protocol
        """Nothing: the agent's own settings hold the placeholder."""
        return {}

    def placeholders(self, facts: Facts) -> tuple[str, ...]:  # noqa: ARG002
        """That of the agent's settings."""
        return (placeholder_of(self.grant_ref),)

    def container_mounts(
        self,
        facts: Facts,  # noqa: ARG002
        container_home: str,  # noqa: ARG002
    ) -> tuple[MountConfig, ...]:
        """Nothing."""
        return ()

    def implied_dependencies(self) -> tuple[str, ...]:
        """None."""
        return ()

    def cleanup(self, path: Path) -> None:
        """Nothing was made."""
