"""What a provider is: whom we log in to, and what an agent of theirs needs in a box.

Everything a provider says is a value; the run carries it out. So a provider can be read in one
sitting and tested without a box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from moat.config.settings import Upstream
from moat.core.hosts import HostPattern
from moat.engine.inject import Injection
from moat.vault.credential import Credential


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file put in place in the box at its start; mode as for `chmod`."""

    name: str
    content: bytes
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """What an agent needs: its command, tools, hosts, and staged files.

    `tools` are names of Moat's catalogue; `staged` maps a name to the files that become
    `~/.NAME` in the box.
    """

    command: tuple[str, ...]
    tools: tuple[str, ...] = ()
    hosts: tuple[HostPattern, ...] = ()
    staged: Mapping[str, tuple[StagedFile, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Granted:
    """A credential just acquired, with what the person should know about it."""

    credential: Credential
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantIO:
    """How a provider asks: the environment, and a prompt whose answer is not shown.

    `ask` is None where there is nobody to ask.
    """

    environ: Mapping[str, str]
    upstream: Upstream
    ask: Callable[[str], str] | None


@runtime_checkable
class CredentialProvider(Protocol):
    """Whom we log in to. `grant_ref` is the canonical id of the grant, the same in every lookup."""

    name: str
    grant_ref: str
    description: str

    def acquire(self, io: GrantIO) -> Granted:
        """Get a credential from the person, checked with the provider. Raises GrantError."""
        ...

    def injections(self) -> tuple[Injection, ...]:
        """Where the credential goes."""
        ...

    def box_environment(self) -> Mapping[str, str]:
        """Variables that hold placeholders, so that programs find themselves logged in."""
        ...


@runtime_checkable
class AgentProvider(Protocol):
    """An agent that can be run."""

    name: str
    grant_ref: str

    def set_up(
        self, *, prompt: str | None, workspace: str, arguments: tuple[str, ...]
    ) -> AgentSetup:
        """What the agent needs for one run; `workspace` is its path in the box."""
        ...
