"""The providers by name. One id is canonical; every lookup goes through here."""

from __future__ import annotations

import difflib
from importlib import import_module

from moat.errors import GrantError, UsageError
from moat.providers.interface import AgentProvider, CredentialProvider

# Imported when asked for: a command loads no provider it does not use.
_MODULES = {"codex": "moat.providers.codex"}
_ALIASES = {"openai": "codex"}


def grant_names() -> list[str]:
    """What can be granted, under the names people use."""
    return sorted({get_provider(name).grant_ref for name in _MODULES})


def get_provider(name: str) -> CredentialProvider:
    """The provider of a name or alias. Raises UsageError naming the nearest known one."""
    canonical = _ALIASES.get(name, name)
    if canonical not in _MODULES:
        known = sorted({*_MODULES, *_ALIASES})
        near = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"there is no provider {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"known providers: {', '.join(known)}",
        )
    provider: CredentialProvider = import_module(_MODULES[canonical]).PROVIDER
    return provider


def get_agent(name: str) -> AgentProvider:
    """The agent of a name. Raises GrantError."""
    provider = get_provider(name)
    if not isinstance(provider, AgentProvider):
        raise GrantError(f"{name} is no agent that can be run")
    return provider
