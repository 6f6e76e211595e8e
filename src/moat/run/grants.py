"""The grants of a run, opened once and held in the supervisor's memory alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from moat.core.secret import Secret
from moat.errors import GrantError
from moat.vault.store import Store

if TYPE_CHECKING:
    from moat.run.plan import Plan

_SHORTEST = 8


class OpenedGrants:
    """A credential source for the proxy."""

    def __init__(self, secrets: dict[str, Secret]) -> None:
        self._secrets = secrets

    @property
    def secrets(self) -> list[Secret]:
        """Every secret, to be masked in what is recorded."""
        return list(self._secrets.values())

    def refuse_in(self, plan: Plan) -> None:
        """Refuse a plan that would bring a secret into the box. Raises GrantError.

        The person may have put it there themselves, in a variable or a task; what it is wanted for
        the placeholder does as well.
        """
        self._refuse(lambda form: _find(form, plan))

    def refuse_in_words(self, words: Iterable[str]) -> None:
        """Refuse a command that would bring a secret into the box. Raises GrantError."""
        said = tuple(words)
        self._refuse(lambda form: "the command" if any(_stands_in(form, w) for w in said) else None)

    def _refuse(self, find: Callable[[str], str | None]) -> None:
        for name, secret in self._secrets.items():
            where = next(filter(None, map(find, _forms(secret.reveal()))), None)
            if where is not None:
                raise GrantError(
                    f"the secret of grant {name} itself stands in {where}, and no secret enters "
                    "a box",
                    hint="leave it out: it is put into requests on their way",
                )

    async def resolve(self, grant: str) -> Secret:
        """The secret of a grant. Raises GrantError."""
        try:
            return self._secrets[grant]
        except KeyError:
            raise GrantError(f"the run has no grant {grant}") from None


def _stands_in(value: str, text: str) -> bool:
    """Whether a text holds a secret; one too short to be one must be all of it, or it would be
    found in any word."""
    return value in text if len(value) >= _SHORTEST else value == text


def _forms(value: str) -> list[str]:
    """A value as it is, and as JSON and TOML write it."""
    return list(
        dict.fromkeys((value, *(json.dumps(value, ensure_ascii=a)[1:-1] for a in (False, True))))
    )


def _find(value: str, plan: Plan) -> str | None:
    if plan.name and _stands_in(value, plan.name):
        return "the name of the run"
    for variable, text in plan.environment.items():
        if _stands_in(value, text):
            return f"the variable {variable}"
    places = [str(plan.workspace)]
    for mount in plan.mounts:
        places += [str(mount.source), mount.target]
    if any(_stands_in(value, place) for place in places):
        return "the path of the workspace or of a mount"
    if any(_stands_in(value, part) for part in plan.command):
        return "the command"
    for folder, files in plan.staged.items():
        for file in files:
            if _stands_in(value, file.content.decode(errors="replace")):
                return f"~/.{folder}/{file.name}"
    if _stands_in(value, (plan.mcp_json or b"").decode(errors="replace")):
        return ".mcp.json"
    return None


def open_grants(store: Store, grants: Iterable[str]) -> OpenedGrants:
    """Open every grant, before anything is made that would need one. Raises GrantError."""
    return OpenedGrants({grant: store.get(grant).secret for grant in grants})
