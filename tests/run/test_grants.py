"""Grants are opened once, all of them, before anything needs one."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from moat.core.secret import Secret
from moat.errors import GrantError
from moat.run.grants import open_grants
from moat.vault.credential import Credential
from moat.vault.store import Store


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
