"""What is stored of a grant."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

from moat.core.nothing import NOTHING
from moat.core.secret import Secret


class Facts(NamedTuple):
    """What is known of a credential without its secret: a run is planned from this alone.

    Fields as of Credential.
    """

    provider: str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None = None
    scopes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = NOTHING


class Credential(NamedTuple):
    """A secret with what is known about it.

    `provider` is the canonical id it is stored under; times are UTC; `expires_at` None means
    that no expiry is known; `metadata` holds no secret.
    """

    provider: str
    secret: Secret
    created_at: datetime.datetime
    expires_at: datetime.datetime | None = None
    scopes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = NOTHING

    @property
    def facts(self) -> Facts:
        """All but the secret."""
        return Facts(
            self.provider, self.created_at, self.expires_at, self.scopes, dict(self.metadata)
        )


def to_document(credential: Credential) -> dict[str, Any]:
    """A credential as the JSON document that is sealed; it holds the secret in the clear."""
    return {
        "provider": credential.provider,
        "secret": credential.secret.reveal(),
        "created_at": credential.created_at.isoformat(),
        "expires_at": credential.expires_at.isoformat() if credential.expires_at else None,
        "scopes": list(credential.scopes),
        "metadata": credential.metadata,
    }


def from_document(document: dict[str, Any]) -> Credential:
    """A credential from its document. Raises KeyError, TypeError or ValueError."""
    expires = document["expires_at"]
    if not isinstance(document["secret"], str):
        raise TypeError("the secret is not a text")
    return Credential(
        provider=document["provider"],
        secret=Secret(document["secret"]),
        created_at=datetime.datetime.fromisoformat(document["created_at"]),
        expires_at=datetime.datetime.fromisoformat(expires) if expires else None,
        scopes=tuple(document["scopes"]),
        metadata=dict(document["metadata"]),
    )
