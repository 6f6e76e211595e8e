"""One canonical id for a grant, whatever name it was asked for by."""

from __future__ import annotations

import pytest

from moat.errors import UsageError
from moat.providers.interface import AgentProvider, CredentialProvider
from moat.providers.registry import get_agent, get_provider, grant_names


@pytest.mark.parametrize("name", ["codex", "openai"])
def test_an_alias_is_the_same_provider(name: str) -> None:
    """By name or by alias it is one provider with one grant, `openai`."""
    provider = get_provider(name)
    assert provider is get_provider("codex")
    assert ("codex", "openai") == (provider.name, provider.grant_ref)


def test_names_are_listed_without_aliases() -> None:
    """Grants by what they are stored under."""
    assert ["openai"] == grant_names()


@pytest.mark.parametrize("name", ["codex", *grant_names()])
def test_every_name_that_is_shown_is_known(name: str) -> None:
    """What is listed can be asked for, and leads to a grant that can be asked for again."""
    provider = get_provider(name)
    assert provider is get_provider(provider.grant_ref)
    assert isinstance(provider, CredentialProvider)
    assert provider.description


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("opnai", "did you mean openai?"),
        ("codx", "did you mean codex?"),
        ("zzz", "known providers: codex, openai"),
        ("", "known providers: codex, openai"),
        ("OPENAI", "known providers: codex, openai"),
        ("../codex", "did you mean codex?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    """What was typed is repeated, and what may have been meant is named."""
    with pytest.raises(UsageError) as caught:
        get_provider(name)
    assert (f"there is no provider {name!r}", hint) == (caught.value.message, caught.value.hint)


def test_codex_is_an_agent() -> None:
    """The agent and the one it logs in to share the grant."""
    agent = get_agent("codex")
    assert isinstance(agent, AgentProvider)
    assert get_provider("codex").grant_ref == agent.grant_ref
    with pytest.raises(UsageError):
        get_agent("claud")
