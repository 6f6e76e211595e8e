"""Names of grants as a person types them, held against what is stored."""

from __future__ import annotations

import shlex

from moat.errors import MoatError, UsageError
from moat.providers.fields import PLAIN_NAME
from moat.providers.interface import CredentialProvider
from moat.providers.registry import UnknownProvider, get_provider
from moat.vault.store import Store


def provider_of(store: Store, name: str, *, wanted: bool = True) -> CredentialProvider:
    """The provider of a name that is typed where a grant is meant; whether one is stored is not
    looked at. Raises UsageError, with what is stored and, where one is `wanted`, how to store it.
    """
    try:
        return get_provider(name, has=store.has)
    except UnknownProvider as error:
        hint = error.hint if error.near else _near(store, name) or what_is_stored(store)
        if wanted and not error.near and PLAIN_NAME.fullmatch(name):
            hint = f"{hint}; to store one of that name: moat grant header {name} --host HOST"
        raise UsageError(
            f"there is no grant {name!r}: nothing is stored under that name", hint=hint
        ) from None


def what_is_stored(store: Store) -> str:
    """Which grants there are, for a hint."""
    names = _names(store)
    return f"stored are: {', '.join(names)}" if names else "nothing is stored yet"


def _near(store: Store, name: str) -> str | None:
    import difflib

    near = difflib.get_close_matches(name, _names(store), n=1, cutoff=0.7)
    return f"did you mean {shlex.quote(near[0])}?" if near else None


def _names(store: Store) -> list[str]:
    """By the names that are typed; none where the store cannot be read, which is another error."""
    try:
        return [item.provider.removeprefix("header:") for item in store.list()]
    except MoatError:
        return []
