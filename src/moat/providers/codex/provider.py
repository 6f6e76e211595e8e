"""OpenAI as the one we log in to, and Codex as the agent that is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from moat.providers.agent import (
    AgentSetup,
    AgentWanted,
    CommandTable,
    ContainerConfig,
    PrepareOptions,
)
from moat.providers.codex.account import HEADERS, OPTIONS, account_of
from moat.providers.codex.constants import (
    API_HOST,
    GRANT_REF,
    OPENAI_API_KEY_PLACEHOLDER,
    network_hosts,
)
from moat.providers.commands import AGENT_COMMANDS
from moat.providers.interface import Granted, GrantIO, GrantOption, MountConfig, ProxyConfigurer
from moat.providers.placeholder import placeholder_of
from moat.vault.credential import Facts

# What else the API would take for a login, or for somebody's account: which of the person's
# accounts pays is said when the key is granted, never by the agent. The API takes a login in the
# subprotocol of a WebSocket, too.
_STRIPS = (
    "Authorization",
    "X-Api-Key",
    "Api-Key",
    "Cookie",
    "Sec-WebSocket-Protocol",
    *HEADERS.values(),
)


class Provider:
    """Both a credential provider and an agent provider."""

    name = "codex"
    """What it is called, as an agent and as a provider."""
    grant_ref = GRANT_REF
    description = "OpenAI API key, for Codex and other clients of the OpenAI API"
    grant_options: tuple[GrantOption, ...] = OPTIONS

    def grant(self, io: GrantIO) -> Granted:
        """Get an API key from the environment or the person. Raises GrantError."""
        from moat.providers.codex.grant import Grant

        return Grant().acquire(io)

    def configure_proxy(self, proxy: ProxyConfigurer, facts: Facts) -> None:
        """The key goes to api.openai.com as a bearer token, with the account it was granted for."""
        account = account_of({k: v for k, v in facts.metadata.items() if k in HEADERS})
        proxy.inject(
            API_HOST,
            "Authorization",
            format="Bearer {}",
            strips=_STRIPS,
            headers=account.headers(),
        )

    def container_env(
        self,
        facts: Facts,  # noqa: ARG002  # every key has the same placeholder
    ) -> Mapping[str, str]:
        """The placeholder, under the name every OpenAI client reads."""
        return {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}

    def placeholders(
        self,
        facts: Facts,  # noqa: ARG002  # as above
    ) -> tuple[str, ...]:
        """The same one, and that of remote MCP servers which take the key."""
        return (OPENAI_API_KEY_PLACEHOLDER, placeholder_of(GRANT_REF))

    def container_mounts(
        self,
        facts: Facts,  # noqa: ARG002  # a key is no file
        container_home: str,  # noqa: ARG002
    ) -> tuple[MountConfig, ...]:
        """Nothing of the host: what Codex reads is staged."""
        return ()

    def implied_dependencies(self) -> tuple[str, ...]:
        """None: a key is good for any client."""
        return ()

    def cleanup(self, path: Path) -> None:
        """Nothing to give back, as `container_mounts` makes nothing."""

    def set_up(self, wanted: AgentWanted) -> AgentSetup:
        """What Codex needs for one run, as values. Raises ConfigError."""
        from moat.core.hosts import HostPattern
        from moat.providers.codex.command import codex_command
        from moat.providers.codex.staging import staged_files

        return AgentSetup(
            command=codex_command(wanted),
            tools=("codex-cli",),
            hosts=tuple(map(HostPattern.parse, network_hosts())),
            staged={"codex": staged_files(wanted)},
            # Enough to resume: what else Codex keeps, it makes from these again.
            kept={".codex/sessions": "codex/sessions"} if wanted.keep_sessions else {},
        )

    def prepare_container(self, options: PrepareOptions) -> ContainerConfig:
        """A staging directory with the files of `set_up`, mounted read-only.

        Its `cleanup` may be called more than once. Raises ConfigError or MoatError, and leaves
        nothing behind then.
        """
        from moat.providers.codex.staging import prepare

        return prepare(options, variables={"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER})

    def register_cli(self, root: CommandTable) -> None:
        """Add `moat codex`."""
        root.add(self.name, *AGENT_COMMANDS[self.name])


PROVIDER = Provider()
"""The one there is; it holds nothing."""
