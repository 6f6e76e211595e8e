"""OpenAI as the one we log in to, and Codex as the agent that is run."""

from __future__ import annotations

from collections.abc import Mapping

from moat.engine.inject import Injection
from moat.providers.codex.constants import API_HOST, GRANT_REF, OPENAI_API_KEY_PLACEHOLDER
from moat.providers.interface import AgentSetup, Granted, GrantIO


class Provider:
    """Both a credential provider and an agent provider."""

    name = "codex"
    grant_ref = GRANT_REF
    description = "OpenAI API key, for Codex and other clients of the OpenAI API"

    def acquire(self, io: GrantIO) -> Granted:
        """Get an API key from the environment or the person. Raises GrantError."""
        from moat.providers.codex.key import acquire_key

        return acquire_key(io)

    def injections(self) -> tuple[Injection, ...]:
        """The key goes to api.openai.com, as a bearer token."""
        return (
            Injection(
                grant=GRANT_REF,
                pattern=API_HOST,
                header="Authorization",
                format="Bearer {}",
                # What else the API would take for a login, or for somebody's account.
                # The API takes one in the subprotocol of a WebSocket, too.
                strips=(
                    "Authorization",
                    "X-Api-Key",
                    "Api-Key",
                    "Cookie",
                    "Sec-WebSocket-Protocol",
                ),
            ),
        )

    def box_environment(self) -> Mapping[str, str]:
        """The placeholder, under the name every OpenAI client reads."""
        return {"OPENAI_API_KEY": OPENAI_API_KEY_PLACEHOLDER}

    def set_up(
        self, *, prompt: str | None, workspace: str, arguments: tuple[str, ...]
    ) -> AgentSetup:
        """What Codex needs for one run."""
        from moat.providers.codex.agent import codex_command, staged_files

        return AgentSetup(
            command=codex_command(prompt, arguments),
            tools=("codex-cli",),
            hosts=(API_HOST,),
            staged={"codex": staged_files(workspace)},
        )
