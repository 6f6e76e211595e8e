"""What a provider of credentials is: whom we log in to. What an agent is stands in `agent`.

Nearly everything a provider says is a value; the run carries it out. So a provider can be read
in one sitting and tested without a box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol, runtime_checkable

from moat.config.settings import Upstream
from moat.core.finding import Finding
from moat.core.hosts import HostPattern
from moat.engine.patterns import PathPattern
from moat.vault.credential import Credential, Facts

Where = Literal["header", "query", "body"]
"""The parts of a request in which a placeholder can be replaced."""


@dataclass(frozen=True, slots=True)
class GrantOption:
    """An option of `moat grant NAME` that a provider has: `--organization ID` is
    GrantOption("organization", "ID", "…").

    Those with `binding` say together where a credential goes, and may be repeated: each time the
    first of them is typed, another binding begins.
    """

    name: str
    metavar: str
    help: str
    binding: bool = False


@dataclass(frozen=True, slots=True)
class GrantIO:
    """How a provider asks: the environment, and a prompt whose answer is not shown.

    `ask` is None where there is nobody to ask, and `piped`, which reads standard input to its end,
    where there is. `validate` is false where the provider must not be asked whether the credential
    is good. `options` are those of the provider's `grant_options` that were given, by name;
    `bindings` the same of those that make up bindings, one mapping each.
    """

    environ: Mapping[str, str]
    upstream: Upstream
    ask: Callable[[str], str] | None
    validate: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    bindings: tuple[Mapping[str, str], ...] = ()
    piped: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """A credential just acquired, with what the person should know about it."""

    credential: Credential
    source: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ProxyConfigurer(Protocol):
    """What a provider tells the proxy. The secret itself never comes by here."""

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
        """Put the credential into `header` of requests to a host, in the place of `{}`.

        `strips` names further headers in which a client could bring a credential of its own;
        `headers` are set besides, and are no secret. Without `path` every path is meant.
        """
        ...

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
        """Put the credential in the place of a placeholder: in the header or query parameter of a
        name, or anywhere in bodies. The rest as for `inject`."""
        ...

    def strip(
        self, pattern: HostPattern, headers: tuple[str, ...], *, path: PathPattern | None = None
    ) -> None:
        """Take headers out of requests to a host, and put nothing in."""
        ...


@dataclass(frozen=True, slots=True)
class MountConfig:
    """A file or directory of the host, and where the box sees it."""

    source: Path
    target: str
    read_only: bool = True


@runtime_checkable
class CredentialProvider(Protocol):
    """Whom we log in to. `grant_ref` is the canonical id of the grant, the same in every lookup."""

    name: str
    grant_ref: str
    description: str
    grant_options: tuple[GrantOption, ...]

    def grant(self, io: GrantIO) -> Granted:
        """Get a credential from the person, checked with the provider. Raises GrantError."""
        ...

    def configure_proxy(self, proxy: ProxyConfigurer, facts: Facts) -> None:
        """Say where the credential goes."""
        ...

    def container_env(self, facts: Facts) -> Mapping[str, str]:
        """Variables that hold placeholders, so that programs find themselves logged in."""
        ...

    def placeholders(self, facts: Facts) -> tuple[str, ...]:
        """Every text that may stand for the secret in a box, in variables and anywhere else."""
        ...

    def container_mounts(self, facts: Facts, container_home: str) -> tuple[MountConfig, ...]:
        """What of the host the credential needs in the box."""
        ...

    def implied_dependencies(self) -> tuple[str, ...]:
        """Dependencies that come with the credential."""
        ...

    def cleanup(self, path: Path) -> None:
        """Give back what `container_mounts` made."""
        ...


class DoctorSectionProtocol(Protocol):
    """A part of what `moat doctor` shows."""

    name: str

    def findings(self) -> list[Finding]:
        """What was found. Changes nothing; shows no part of a secret."""
        ...

    def print(self, file: IO[str]) -> None:
        """The findings for a person to read."""
        ...
