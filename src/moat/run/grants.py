"""The grants of a run, opened once and held in the supervisor's memory alone."""

from __future__ import annotations

from collections.abc import Iterable

from moat.core.secret import Secret
from moat.errors import GrantError
from moat.vault.store import Store


class OpenedGrants:
    """A credential source for the proxy."""

    def __init__(self, secrets: dict[str, Secret]) -> None:
        self._secrets = secrets

    @property
    def secrets(self) -> list[Secret]:
        """Every secret, to be masked in what is recorded."""
        return list(self._secrets.values())

    async def resolve(self, grant: str) -> Secret:
        """The secret of a grant. Raises GrantError."""
        try:
            return self._secrets[grant]
        except KeyError:
            raise GrantError(f"the run has no grant {grant}") from None


def open_grants(store: Store, grants: Iterable[str]) -> OpenedGrants:
    """Open every grant, before anything is made that would need one. Raises GrantError."""
    return OpenedGrants({grant: store.get(grant).secret for grant in grants})
