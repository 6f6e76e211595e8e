"""One canonical id for a grant, whatever name it was asked for by."""

from __future__ import annotations

import datetime
from importlib.util import find_spec

import pytest

from moat.errors import GrantError, UsageError
from moat.providers.agent import AgentProvider
from moat.providers.commands import AGENT_COMMANDS
from moat.providers.interface import CredentialProvider
from moat.providers.placeholder import placeholder_of
from moat.providers.registry import (
    agent_names,
    check_free,
    get_agent,
    get_provider,
    grant_names,
)
from moat.vault.credential import Facts


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
        ("zzz", "known providers: codex, openai, header:NAME, mcp:NAME"),
        ("", "known providers: codex, openai, header:NAME, mcp:NAME"),
        ("OPENAI", "known providers: codex, openai, header:NAME, mcp:NAME"),
        ("../codex", "did you mean codex?"),
        ("cdx:openai", "did you mean openai?"),
        ("zzz:linear", "known providers: codex, openai, header:NAME, mcp:NAME"),
        ("mcp", "known providers: codex, openai, header:NAME, mcp:NAME"),
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


def test_a_family_has_a_provider_for_each_name() -> None:
    """What stands behind the colon is the family's to judge."""
    assert "mcp:linear" == get_provider("mcp:linear").grant_ref
    with pytest.raises(UsageError):
        get_provider("mcp:")


def test_a_name_of_the_persons_own_needs_no_prefix() -> None:
    """Where such a grant is stored; nobody else's name is taken for one."""

    def has(ref: str) -> bool:
        return ref in ("header:mine", "header:openai", "header:linear")

    assert "header:mine" == get_provider("mine", has=has).grant_ref
    assert "openai" == get_provider("openai", has=has).grant_ref
    assert "header:openai" == get_provider("header:openai").grant_ref
    assert "mcp:linear" == get_provider("mcp:linear", has=has).grant_ref
    for name in ("mine2", "MINE", "../mine", "mcp", "header", ":mine", "x:mine"):
        with pytest.raises(UsageError):
            get_provider(name, has=has)
    with pytest.raises(UsageError):
        get_provider("mine")


@pytest.mark.parametrize("name", ["openai", "codex", "mcp", "header", "list"])
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    """With --grant NAME nobody could tell which is meant; a prefix in front makes it another."""
    with pytest.raises(UsageError, match=f"{name} means something else"):
        check_free(get_provider(f"header:{name}"))
    check_free(get_provider(f"header:my-{name}"))
    check_free(get_provider(f"mcp:{name}"))
    check_free(get_provider("openai"))


def test_a_family_is_no_agent() -> None:
    """A credential that no agent of ours logs in with cannot be run."""
    with pytest.raises(GrantError, match="no agent") as caught:
        get_agent("mcp:linear")
    assert "agents: codex" == caught.value.hint


class Table:
    """A CommandTable that keeps what is added."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def add(self, name: str, help: str, module: str) -> None:
        self.rows.append((name, help, module))


def test_agents_bring_their_commands() -> None:
    """Each adds its own: a name, a line, and a module that is there; the same that `moat --help`
    reads without asking any of them."""
    table = Table()
    for name in agent_names():
        get_agent(name).register_cli(table)
    assert {name: tuple(row) for name, *row in table.rows} == AGENT_COMMANDS
    (row,) = table.rows
    assert ("codex", "run the OpenAI Codex CLI in a box on a workspace") == row[:2]
    assert "moat.cli.commands.codex" == row[2]
    assert find_spec(row[2]) is not None


@pytest.mark.parametrize("name", ["openai", "mcp:linear", "header:mine"])
def test_what_a_variable_holds_is_known_as_a_placeholder(name: str) -> None:
    """A run watches for those it knows of."""
    metadata = {"to": "https://x.example X: {}", "env": "TOKEN"}
    provider = get_provider(name)
    facts = Facts(provider.grant_ref, datetime.datetime.now(datetime.UTC), metadata=metadata)
    held = provider.placeholders(facts)
    assert set(provider.container_env(facts).values()) <= set(held)
    assert placeholder_of(provider.grant_ref) in held
