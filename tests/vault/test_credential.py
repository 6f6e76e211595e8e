"""A credential survives its document, and shows its secret to nobody on the way."""

from __future__ import annotations

import copy
import datetime
import json
import pickle

import pytest

from moat.core.secret import Secret
from moat.vault.credential import Credential, from_document, to_document

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
FULL = Credential(
    "openai", Secret("sk-très-secret"), NOW, NOW, ("models.read",), {"token_source": "env"}
)
LEAST = Credential("openai", Secret("sk-1"), NOW)


@pytest.mark.parametrize("credential", [FULL, LEAST])
def test_a_document_holds_all_of_it(credential: Credential) -> None:
    """What was written as JSON is read back equal."""
    assert credential == from_document(json.loads(json.dumps(to_document(credential))))


@pytest.mark.parametrize("name", ["provider", "secret", "created_at", "scopes", "metadata"])
def test_half_a_document_is_refused(name: str) -> None:
    """Every member is needed; what is missing is no reason to guess."""
    document = to_document(FULL)
    del document[name]
    with pytest.raises(KeyError, match=name):
        from_document(document)


def test_a_secret_is_a_text() -> None:
    """Something else in the secret's place is refused, rather than sent somewhere."""
    for value in (None, 7, ["sk-1"], {"a": "b"}):
        with pytest.raises(TypeError):
            from_document({**to_document(FULL), "secret": value})
    assert FULL.secret == from_document(to_document(FULL)).secret


def test_no_way_of_printing_shows_the_secret() -> None:
    """Not repr, str, format, nor a copy; and a pickle is not made at all."""
    for shown in (repr(FULL), str(FULL), f"{FULL}", repr(copy.copy(FULL)), f"{FULL.secret:>40}"):
        assert "secret'" not in shown
        assert "très" not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(FULL)
