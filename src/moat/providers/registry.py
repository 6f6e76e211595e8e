"""The providers by name. One id is canonical; every lookup goes through here."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module

from moat.errors import GrantError, UsageError
from moat.providers.agent import AgentProvider
from moat.providers.fields import PLAIN_NAME
from moat.providers.interface import CredentialProvider

# Imported when asked for: a command loads no provider it does not use.
_MODULES = {"codex": "moat.providers.codex"}
_ALIASES = {"openai": "codex"}
# Of `PREFIX:REST`, the module whose `provider_for(REST)` knows.
_FAMILIES = {"header": "moat.providers.header", "mcp": "moat.providers.mcp"}
# Whose names are the person's own: they are known without the prefix as well.
_OWN = "header"


class UnknownProvider(UsageError):
    """There is no provider of a name; `near` is whether the hint has one that may be meant."""

    def __init__(self, name: str) -> None:
        near = difflib.get_close_matches(name, sorted({*_MODULES, *_ALIASES}), n=1, cutoff=0.7)
        super().__init__(
            f"there is no provider {name!r}",
            hint=f"did you mean {near[0]}?" if near else _known(),
        )
        self.near = bool(near)


def grant_names() -> list[str]:
    """What can be granted by one name, under the names people use; families are not among them."""
    return sorted({get_provider(name).grant_ref for name in _MODULES})


def agent_names() -> list[str]:
    """The agents that can be run."""
    return [name for name in sorted(_MODULES) if isinstance(get_provider(name), AgentProvider)]


def family_names() -> list[str]:
    """The prefixes of names such as `mcp:linear`."""
    return sorted(_FAMILIES)


def get_provider(name: str, *, has: Callable[[str], bool] | None = None) -> CredentialProvider:
    """The provider of a name, an alias, or a name of a family such as `mcp:linear`.

    `has` says whether a grant is stored, by its ref: what is no provider's name can then be one
    the person gave, `mine` for `header:mine`. Raises UsageError, naming the nearest known one.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _FAMILIES:
        of_family: CredentialProvider = import_module(_FAMILIES[prefix]).provider_for(rest)
        return of_family
    canonical = _ALIASES.get(name, name)
    if canonical not in _MODULES:
        if has is not None and PLAIN_NAME.fullmatch(name) and has(f"{_OWN}:{name}"):
            return get_provider(f"{_OWN}:{name}")
        raise UnknownProvider(name)
    provider: CredentialProvider = import_module(_MODULES[canonical]).PROVIDER
    return provider


def check_free(provider: CredentialProvider) -> None:
    """Refuse a name of the person's own that is another provider's, too. Raises UsageError."""
    prefix, colon, name = provider.grant_ref.partition(":")
    if colon and prefix == _OWN and name in {*_MODULES, *_ALIASES, *_FAMILIES, "list"}:
        raise UsageError(
            f"{name} means something else: --grant {name} could not tell which is wanted",
            hint=f"choose another name, such as: moat grant {_OWN} my-{name} --host …",
        )


def get_agent(name: str) -> AgentProvider:
    """The agent of a name. Raises UsageError for no provider, GrantError for one that is none."""
    provider = get_provider(name)
    if not isinstance(provider, AgentProvider):
        raise GrantError(
            f"{name} is no agent that can be run", hint=f"agents: {', '.join(agent_names())}"
        )
    return provider


def _known() -> str:
    families = (f"{prefix}:NAME" for prefix in sorted(_FAMILIES))
    return f"known providers: {', '.join((*sorted({*_MODULES, *_ALIASES}), *families))}"
