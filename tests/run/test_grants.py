"""Grants are opened once, all of them, before anything needs one."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from moat.core.secret import Secret
from moat.errors import GrantError
from moat.providers.agent import StagedFile
from moat.run.grants import open_grants
from moat.run.plan import Plan, build_plan
from moat.vault.credential import Credential
from moat.vault.store import Store
from support.plans import PLAIN


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "credentials")
    for name in ("openai", "other"):
        now = datetime.datetime.now(datetime.UTC)
        store.put(Credential(name, Secret(f"sk-{name}"), now))
    return store


def test_every_grant_is_opened(store: Store) -> None:
    """Each secret is there under its grant, and can be masked."""
    grants = open_grants(store, ["openai", "other"])
    assert Secret("sk-other") == asyncio.run(grants.resolve("other"))
    assert {"sk-openai", "sk-other"} == {secret.reveal() for secret in grants.secrets}
    assert "sk-" not in repr(vars(grants))


def test_what_was_not_opened_is_not_there(store: Store) -> None:
    """A run has the grants it was started with: what else is stored is none of its business."""
    with pytest.raises(GrantError, match="the run has no grant other"):
        asyncio.run(open_grants(store, ["openai"]).resolve("other"))


def test_one_that_cannot_be_opened_stops_all(store: Store) -> None:
    """A missing grant is an error before there is anything to clear up."""
    with pytest.raises(GrantError, match="there is no grant for missing"):
        open_grants(store, ["openai", "missing"])


def test_a_revoked_grant_stays_with_the_run(store: Store) -> None:
    """A run holds what it opened to its end."""
    grants = open_grants(store, ["openai"])
    store.remove("openai")
    assert Secret("sk-openai") == asyncio.run(grants.resolve("openai"))


def plan_with(**changes: object) -> Plan:
    return build_plan("0123456789", PLAIN)._replace(**changes)


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("the variable A", {"environment": {"A": "x sk-openai y"}}),
        ("the command", {"command": ("echo", "sk-openai")}),
        ("~/.codex/config.toml", {"staged": {"codex": (StagedFile("config.toml", b"sk-openai"),)}}),
        (".mcp.json", {"mcp_json": b'{"a": "sk-openai"}'}),
    ],
)
def test_a_plan_that_holds_a_secret_is_refused(
    store: Store, where: str, changes: dict[str, object]
) -> None:
    """Whoever put it there, and wherever: it would be in the box. It is not repeated."""
    with pytest.raises(GrantError) as caught:
        open_grants(store, ["openai"]).refuse_in(plan_with(**changes))
    assert f"stands in {where}," in caught.value.message
    assert "sk-openai" not in caught.value.message


def test_a_plan_without_a_secret_is_good(store: Store) -> None:
    """What belongs to no grant of the run is the person's to give."""
    open_grants(store, ["openai"]).refuse_in(plan_with(environment={"A": "sk-other"}))


def test_a_secret_is_found_as_it_is_written(tmp_path: Path) -> None:
    """JSON and TOML escape what is odd in it."""
    store = Store(tmp_path / "credentials")
    now = datetime.datetime.now(datetime.UTC)
    store.put(Credential("odd", Secret('a"b\\cdefgh'), now))
    staged = {"codex": (StagedFile("config.toml", b'x = "a\\"b\\\\cdefgh"'),)}
    with pytest.raises(GrantError, match=r"config\.toml"):
        open_grants(store, ["odd"]).refuse_in(plan_with(staged=staged))


def test_a_word_is_no_secret(tmp_path: Path) -> None:
    """A very short one is only found where it is all there is."""
    store = Store(tmp_path / "credentials")
    now = datetime.datetime.now(datetime.UTC)
    store.put(Credential("odd", Secret("word"), now))
    opened = open_grants(store, ["odd"])
    opened.refuse_in(plan_with(environment={"A": "a word or two"}, command=("swordfish",)))
    with pytest.raises(GrantError, match="the variable A"):
        opened.refuse_in(plan_with(environment={"A": "word"}))


def test_a_further_command_that_holds_a_secret_is_refused(store: Store) -> None:
    """As the first one is; and one that holds none is good."""
    opened = open_grants(store, ["openai"])
    opened.refuse_in_words(["curl", "-H", "Authorization: Bearer sk-other"])
    with pytest.raises(GrantError, match="stands in the command") as caught:
        opened.refuse_in_words(["curl", "-H", "Authorization: Bearer sk-openai"])
    assert "sk-openai" not in caught.value.message
